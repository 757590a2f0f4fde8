//! The `nix-image` command; see [`nix_image::cli`].

fn main() -> std::process::ExitCode {
    nix_image::cli::main()
}
