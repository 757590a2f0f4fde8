//! `stream-layered-image`.

/// Runs `stream-layered-image`.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
