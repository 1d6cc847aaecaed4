//! The function with a span around its body.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{GenericArgument, Ident, PathArguments, ReturnType, Token, Type};

use crate::args::{Args, Event, Field, Format, Level};
use crate::function::{Argument, Function, ReturnedFuture};

/// What a redacted argument is recorded as, and what redaction of attributes puts in their place, too.
const REDACTED: &str = "[redacted]";

/// The function, recorded.
pub(crate) fn instrumented(args: &Args, function: &Function) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        inner_attributes,
        brace,
        body,
    } = function;
    let expansion = Expansion::new(args, function);
    let body = if signature.asyncness.is_some() {
        let edge = return_edge(&signature.output);
        let future = quote!({ #edge { #body } });
        expansion.future(&quote!(move), &future)
    } else if let Some(returned) = function.returned_future() {
        expansion.returned(&returned)
    } else {
        expansion.call(&signature.output, body)
    };
    let mut tokens = quote!(#(#attributes)* #visibility #signature);
    brace.surround(&mut tokens, |tokens| {
        tokens.extend(quote!(#(#inner_attributes)* #body));
    });
    tokens
}

/// What all kinds of function have in common.
struct Expansion<'a> {
    args: &'a Args,
    /// The name of the span, in code: no name in the function can be the same.
    span: Ident,
    /// Makes the span.
    begin: TokenStream,
    target: TokenStream,
    /// Where the compiler points if the function gives no `Result` and should.
    output: Span,
}

impl<'a> Expansion<'a> {
    fn new(args: &'a Args, function: &Function) -> Self {
        let (tracing, span) = (tracing(), internal("span"));
        let name = match &args.name {
            Some(name) => name.to_token_stream(),
            None => function.signature.ident.to_string().to_token_stream(),
        };
        let target = match &args.target {
            Some(target) => target.to_token_stream(),
            None => quote!(::core::module_path!()),
        };
        let parent = args.parent.iter();
        let level = level(args.level.as_ref().unwrap_or(&Level::INFO));
        let arguments = function.arguments();
        let arguments = arguments
            .iter()
            .filter(|argument| is_recorded(args, argument))
            .map(|argument| of_argument(args, argument));
        let fields = args.fields.iter().flatten();
        let fields = arguments.chain(fields.map(own));
        let (cause, follows) = (internal("cause"), args.follows_from.iter());
        let begin = quote! {
            let #span = #tracing::span!(
                target: #target, #(parent: #parent,)* #level, #name, #(#fields),*
            );
            #(if !#span.is_disabled() {
                for #cause in ::core::iter::IntoIterator::into_iter(#follows) {
                    #span.follows_from(#cause);
                }
            })*
        };
        Self {
            args,
            span,
            begin,
            target,
            output: function
                .signature
                .output
                .span()
                .resolved_at(Span::call_site()),
        }
    }

    /// The body of a function that is not `async`.
    fn call(&self, output: &ReturnType, body: &TokenStream) -> TokenStream {
        let Self { begin, span, .. } = self;
        let guard = internal("guard");
        let run = if self.args.err.is_some() || self.args.ret.is_some() {
            let output = match output {
                ReturnType::Default => quote!(()),
                ReturnType::Type(_, ty) => without_impl(ty).to_token_stream(),
            };
            // A closure, so that `return` and `?` in it come back here; called by a function that calls it
            // once, so that it may give back what it was given by reference.
            self.told(&quote!(::ringlight::__private::call(move || -> #output { #body })))
        } else {
            quote!({ #body })
        };
        quote! {
            #begin
            let #guard = #span.enter();
            #run
        }
    }

    /// The end of a function that returns a future, which begins the span when it is polled first.
    fn returned(&self, returned: &ReturnedFuture) -> TokenStream {
        let before = returned.before();
        let future = &returned.future;
        let (attributes, capture, block) = (&future.attrs, &future.capture, &future.block);
        let body = self.future(&capture.to_token_stream(), &block.to_token_stream());
        let future = quote!(#(#attributes)* async #capture { #body });
        match &returned.pin {
            Some(pin) => quote!(#before #pin(#future)),
            None => quote!(#before #future),
        }
    }

    /// The body of an `async` function or block.
    fn future(&self, capture: &TokenStream, block: &TokenStream) -> TokenStream {
        let Self { begin, span, .. } = self;
        let future = if self.args.err.is_some() || self.args.ret.is_some() {
            let told = self.told(&quote!(async #capture #block.await));
            quote!(async #capture { #told })
        } else {
            quote!(async #capture #block)
        };
        quote! {
            #begin
            ::ringlight::__private::in_span(#future, #span).await
        }
    }

    /// What `run` gives, told as an event where that is asked for.
    fn told(&self, run: &TokenStream) -> TokenStream {
        let (given, value, error) = (internal("given"), internal("value"), internal("error"));
        let span_level = self.args.level.as_ref().unwrap_or(&Level::INFO);
        let told = |event: &Event, level, field, format, what: &Ident| {
            let level = event.level.as_ref().unwrap_or(level);
            let format = event.format.unwrap_or(format);
            self.event(level, &quote!(#field = #format #what))
        };
        let ret = self.args.ret.as_ref();
        let ret = ret.map(|e| told(e, span_level, quote!(return), Format::Debug, &value));
        let err = self.args.err.as_ref();
        let err = err.map(|e| told(e, &Level::ERROR, quote!(error), Format::Display, &error));
        let ok = quote_spanned!(self.output=> ::core::result::Result::Ok(#value));
        let failed = quote_spanned!(self.output=> ::core::result::Result::Err(#error));
        match err {
            Some(err) => quote! {
                let #given = #run;
                match #given {
                    #ok => {
                        #ret
                        #ok
                    }
                    #failed => {
                        #err
                        #failed
                    }
                }
            },
            None => quote! {
                let #value = #run;
                #ret
                #value
            },
        }
    }

    fn event(&self, at_level: &Level, field: &TokenStream) -> TokenStream {
        let (tracing, target, level) = (tracing(), &self.target, level(at_level));
        quote!(#tracing::event!(target: #target, #level, #field);)
    }
}

/// A name that cannot be one of the function's.
fn internal(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// Where the macros of `tracing` are.
fn tracing() -> TokenStream {
    quote!(::ringlight::__private::tracing)
}

fn level(level: &Level) -> TokenStream {
    match level {
        Level::Path(path) => quote!(#path),
        Level::Named(name) => {
            let (tracing, name) = (tracing(), Ident::new(name, Span::call_site()));
            quote!(#tracing::Level::#name)
        }
    }
}

/// Whether an argument is a field: it is not where it is skipped, or a field of its name is given.
fn is_recorded(args: &Args, argument: &Argument) -> bool {
    let is_it = |name: &Ident| *name == argument.name;
    let mut given = args.fields.iter().flatten().filter_map(Field::single_name);
    args.skip_all.is_none() && !args.skip.iter().flatten().any(is_it) && !given.any(is_it)
}

/// An argument as a field.
fn of_argument(args: &Args, argument: &Argument) -> TokenStream {
    let name = &argument.name;
    if args
        .redact
        .iter()
        .flatten()
        .any(|redacted| redacted == name)
    {
        quote!(#name = ::ringlight::__private::argument(#REDACTED))
    } else if argument.is_value {
        quote!(#name = ::ringlight::__private::argument(&#name))
    } else {
        // So that the compiler points at the argument if it has no `Debug`.
        let at = name.span().resolved_at(Span::call_site());
        let value = quote_spanned!(at=> ::ringlight::__private::tracing::field::debug(&#name));
        quote!(#name = ::ringlight::__private::argument(#value))
    }
}

/// A field of `fields(..)`.
fn own(field: &Field) -> TokenStream {
    let Field {
        name,
        format,
        value,
    } = field;
    match (value, format) {
        (Some(value), _) => quote!(#name = #format #value),
        (None, None) => {
            // To be recorded later.
            let tracing = tracing();
            quote!(#name = #tracing::field::Empty)
        }
        (None, Some(_)) => quote!(#format #name),
    }
}

/// A `return` that is never reached and tells the compiler the type of an `async` block, as the
/// function's own does for its body.
fn return_edge(output: &ReturnType) -> TokenStream {
    let ty = match output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => return TokenStream::new(),
        ReturnType::Type(_, ty) => without_impl(ty).to_token_stream(),
    };
    quote! {
        if false {
            return ::ringlight::__private::never::<#ty>();
        }
    }
}

/// The type with `_` for each `impl Trait`, which cannot be written within a function.
fn without_impl(ty: &Type) -> Type {
    let mut ty = ty.clone();
    erase_impl(&mut ty);
    ty
}

fn erase_impl(ty: &mut Type) {
    match ty {
        Type::ImplTrait(found) => {
            let inferred = Token![_](found.impl_token.span);
            *ty = Type::Verbatim(inferred.to_token_stream());
        }
        Type::Array(array) => erase_impl(&mut array.elem),
        Type::Slice(slice) => erase_impl(&mut slice.elem),
        Type::Group(group) => erase_impl(&mut group.elem),
        Type::Paren(paren) => erase_impl(&mut paren.elem),
        Type::Reference(reference) => erase_impl(&mut reference.elem),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(erase_impl),
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                    for argument in &mut arguments.args {
                        if let GenericArgument::Type(ty) = argument {
                            erase_impl(ty);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}
