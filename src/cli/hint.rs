//! What a user can do about an error, where that is an option of this program.
//!
//! The libraries' errors say what is wrong and name no option; here is what they do not know.

/// What is to be added to the line that tells of an error.
#[cfg(feature = "push")]
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    use oci::registry::{RegistryError, TlsProblem};

    let error = error.chain().find_map(|cause| cause.downcast_ref::<RegistryError>())?;
    let hint = match error.tls_problem()? {
        TlsProblem::PlainHttp => {
            "; use --tls-verify=false if you trust the network between here and there"
        }
        TlsProblem::PlainAddress => ", which only --tls-verify=false allows",
        TlsProblem::Certificate => " or use --tls-verify=false",
    };
    Some(hint.to_owned())
}

/// Without registries there is nothing to add.
#[cfg(not(feature = "push"))]
pub(super) fn hint(_error: &anyhow::Error) -> Option<String> {
    None
}
