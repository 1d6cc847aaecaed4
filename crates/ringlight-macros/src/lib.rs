//! The attribute `#[ringlight::instrument]`, in its two forms.
//!
//! [`macro@instrument`] puts a span around a function, [`macro@uninstrumented`] leaves it as it was written. `ringlight`
//! exports one of them, by its feature `profiling`, under the name `instrument`. Both read the same
//! arguments and refuse the same mistakes, so that what compiles with one compiles with the other.
//!
//! Guarantees: what `uninstrumented` gives is the function's own tokens and nothing else; what
//! `instrument` gives needs no dependency besides `ringlight`.
//!
//! This crate must not know anything else: what a span is and where it goes, `ringlight` knows. It
//! depends on no crate of the workspace and only writes the path `::ringlight::__private`.
#![forbid(unsafe_code)]

mod args;
mod expand;
mod function;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::parse2;

use args::Args;
use function::Function;

#[doc = include_str!("instrument.md")]
#[proc_macro_attribute]
pub fn instrument(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    on(args.into(), item.into()).into()
}

/// What `#[ringlight::instrument]` is without the feature `profiling`: nothing.
///
/// It takes the arguments of [`macro@instrument`], says what is wrong with them, and gives the function
/// as it was written.
#[proc_macro_attribute]
pub fn uninstrumented(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    off(args.into(), item.into()).into()
}

fn on(args: TokenStream, item: TokenStream) -> TokenStream {
    match read(args, item.clone()) {
        Ok((args, function)) => expand::instrumented(&args, &function),
        Err(error) => refused(&error, item),
    }
}

fn off(args: TokenStream, item: TokenStream) -> TokenStream {
    match read(args, item.clone()) {
        Ok(_) => item,
        Err(error) => refused(&error, item),
    }
}

fn read(args: TokenStream, item: TokenStream) -> syn::Result<(Args, Function)> {
    let args: Args = parse2(args)?;
    let function: Function = parse2(item)?;
    function.check(&args)?;
    Ok((args, function))
}

/// The error, and the item all the same, lest whatever uses it be called wrong as well.
fn refused(error: &syn::Error, item: TokenStream) -> TokenStream {
    let mut tokens = error.to_compile_error();
    tokens.extend(item);
    tokens
}
