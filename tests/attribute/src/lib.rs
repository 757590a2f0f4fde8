//! The integration tests' own `#[test]`; `tests/support/harness.rs` explains why.

use proc_macro::{TokenStream, TokenTree};

/// Registers a function with the harness, under its name.
#[proc_macro_attribute]
pub fn test(_: TokenStream, function: TokenStream) -> TokenStream {
    let is_fn =
        |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn");
    let name = function.clone().into_iter().skip_while(|token| !is_fn(token)).nth(1);
    let name = name.expect("`#[test]` belongs on a function");
    let register = format!("crate::support::harness::register!({name});");
    let register: TokenStream = register.parse().expect("the call of a macro is valid Rust");
    [function, register].into_iter().collect()
}
