//! The drop-in for nixpkgs' `stream_layered_image.py`; see [`nix_image::cli::drop_in`].

fn main() -> std::process::ExitCode {
    nix_image::cli::drop_in::main()
}
