//! The function the attribute stands on.

use proc_macro2::TokenStream;
use quote::ToTokens as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{
    Attribute, Block, Error, Expr, ExprAsync, FnArg, Ident, Pat, Result, ReturnType, Signature,
    Stmt, Token, Type, Visibility, braced, token,
};

use crate::args::Args;

/// Types that `tracing` has values for; those of anything else are shown by `Debug`. By their last
/// word, since a macro knows no more of a type.
const VALUE_TYPES: [&str; 30] = [
    "bool",
    "str",
    "String",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f32",
    "f64",
    "NonZeroU8",
    "NonZeroU16",
    "NonZeroU32",
    "NonZeroU64",
    "NonZeroU128",
    "NonZeroUsize",
    "NonZeroI8",
    "NonZeroI16",
    "NonZeroI32",
    "NonZeroI64",
    "NonZeroI128",
    "NonZeroIsize",
    "Wrapping",
];

/// A function whose body has not been looked into.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) brace: token::Brace,
    pub(crate) inner_attributes: Vec<Attribute>,
    pub(crate) body: TokenStream,
}

/// An argument of the function, or what its pattern binds.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// Whether `tracing` has values of its type.
    pub(crate) is_value: bool,
}

/// The end of a function that is not `async` and returns a future.
pub(crate) struct ReturnedFuture {
    pub(crate) before: Vec<Stmt>,
    /// The path of `Box::pin`, if that is called.
    pub(crate) pin: Option<Expr>,
    pub(crate) future: ExprAsync,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature: Signature = input.parse()?;
        if let Some(constness) = &signature.constness {
            let text = "`#[instrument]` cannot stand on a `const fn`";
            return Err(Error::new_spanned(constness, text));
        }
        if input.peek(Token![;]) {
            let text = "`#[instrument]` needs a body: put it on the implementation";
            return Err(Error::new_spanned(&signature.ident, text));
        }
        let content;
        let brace = braced!(content in input);
        Ok(Self {
            attributes,
            visibility,
            signature,
            brace,
            inner_attributes: content.call(Attribute::parse_inner)?,
            body: content.parse()?,
        })
    }
}

impl Function {
    /// The names its arguments bind, in order.
    pub(crate) fn arguments(&self) -> Vec<Argument> {
        let mut found = Vec::new();
        for argument in &self.signature.inputs {
            match argument {
                FnArg::Receiver(receiver) => found.push(Argument {
                    name: Ident::new("self", receiver.self_token.span),
                    is_value: false,
                }),
                FnArg::Typed(typed) => bindings(&typed.pat, has_values(&typed.ty), &mut found),
            }
        }
        found
    }

    /// Refuses what cannot be said of this function.
    pub(crate) fn check(&self, args: &Args) -> Result<()> {
        let arguments = self.arguments();
        let named = args.skip.iter().chain(&args.redact).flatten();
        for name in named {
            if !arguments.iter().any(|argument| argument.name == *name) {
                let text = format!("the function has no argument `{name}`");
                return Err(Error::new(name.span(), text));
            }
        }
        match (&args.err, &self.signature.output) {
            (Some(err), ReturnType::Default) => {
                let text = "`err` is for a function that returns a `Result`";
                Err(Error::new(err.span, text))
            }
            _ => Ok(()),
        }
    }

    /// The future it returns, if it ends with an `async` block or `Box::pin` of one, as what
    /// `async_trait` makes does. What does not parse has none; the compiler will say why.
    pub(crate) fn returned_future(&self) -> Option<ReturnedFuture> {
        if self.signature.asyncness.is_some() {
            return None;
        }
        let mut before = Block::parse_within.parse2(self.body.clone()).ok()?;
        let Some(Stmt::Expr(last, None)) = before.pop() else {
            return None;
        };
        match last {
            Expr::Async(future) => Some(ReturnedFuture {
                before,
                pin: None,
                future,
            }),
            Expr::Call(mut call) if is_box_pin(&call.func) && call.args.len() == 1 => {
                match call.args.pop()? {
                    Expr::Async(future) => Some(ReturnedFuture {
                        before,
                        pin: Some(*call.func),
                        future,
                    }),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn is_box_pin(function: &Expr) -> bool {
    let Expr::Path(function) = function else {
        return false;
    };
    let mut words = function.path.segments.iter().rev();
    let mut is_next = |word: &str| words.next().is_some_and(|found| found.ident == word);
    is_next("pin") && is_next("Box")
}

fn has_values(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => has_values(&reference.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| VALUE_TYPES.iter().any(|name| last.ident == name)),
        _ => false,
    }
}

/// Finds what a pattern binds. What is within another pattern has a type that is not known here.
fn bindings(pattern: &Pat, is_value: bool, found: &mut Vec<Argument>) {
    let mut each = |patterns: &mut dyn Iterator<Item = &Pat>| {
        patterns.for_each(|pattern| bindings(pattern, false, found));
    };
    match pattern {
        Pat::Ident(binding) => found.push(Argument {
            name: binding.ident.clone(),
            is_value,
        }),
        Pat::Reference(reference) => bindings(&reference.pat, is_value, found),
        Pat::Struct(pattern) => each(&mut pattern.fields.iter().map(|field| &*field.pat)),
        Pat::Tuple(tuple) => each(&mut tuple.elems.iter()),
        Pat::TupleStruct(tuple) => each(&mut tuple.elems.iter()),
        _ => {}
    }
}

impl ReturnedFuture {
    /// What comes before it.
    pub(crate) fn before(&self) -> TokenStream {
        let mut tokens = TokenStream::new();
        for statement in &self.before {
            statement.to_tokens(&mut tokens);
        }
        tokens
    }
}
