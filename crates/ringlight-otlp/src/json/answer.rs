//! What a server answers, from JSON.

use std::borrow::Cow;

use super::lex::{JsonError, Kind, Lexer};
use crate::response::{ExportResponse, Status};

/// The answer to a request that was taken; `None` where it is no object.
pub(crate) fn export_response(json: &str) -> Option<ExportResponse> {
    let mut response = ExportResponse::default();
    whole(json, |lexer, name| match name {
        "partialSuccess" => members(lexer, |lexer, name| {
            match name {
                "errorMessage" => response.message = scalar(lexer)?.into_owned(),
                "rejectedSpans" | "rejectedLogRecords" | "rejectedDataPoints"
                | "rejectedProfiles" => {
                    // Negative counts are read as zero, as those of protobuf are.
                    response.rejected = scalar(lexer)?.parse().unwrap_or(0);
                }
                _ => lexer.skip()?,
            }
            Ok(())
        }),
        _ => lexer.skip(),
    })
    .ok()?;
    Some(response)
}

/// A `google.rpc.Status`, without its details; `None` where it is no object.
pub(crate) fn status(json: &str) -> Option<Status> {
    let mut status = Status::default();
    whole(json, |lexer, name| {
        match name {
            "code" => status.code = scalar(lexer)?.parse().unwrap_or(0),
            "message" => status.message = scalar(lexer)?.into_owned(),
            _ => lexer.skip()?,
        }
        Ok(())
    })
    .ok()?;
    Some(status)
}

/// Reads a text that is one object.
fn whole<'a>(
    json: &'a str,
    member: impl FnMut(&mut Lexer<'a>, &str) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut lexer = Lexer::new(json);
    if lexer.kind()? != Kind::Object {
        return Err(lexer.mismatch("expected an object"));
    }
    members(&mut lexer, member)?;
    lexer.end()
}

/// Shows every member of an object to `member`, which takes its value. What is no object is passed over.
fn members<'a>(
    lexer: &mut Lexer<'a>,
    mut member: impl FnMut(&mut Lexer<'a>, &str) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    if lexer.kind()? != Kind::Object {
        return lexer.skip();
    }
    lexer.begin()?;
    let mut first = true;
    while let Some(name) = lexer.member(&mut first)? {
        member(lexer, &name)?;
    }
    Ok(())
}

/// A text or a number as it is written; anything else is passed over and empty.
fn scalar<'a>(lexer: &mut Lexer<'a>) -> Result<Cow<'a, str>, JsonError> {
    match lexer.kind()? {
        Kind::Text => lexer.text(),
        Kind::Number => lexer.number().map(Cow::Borrowed),
        _ => lexer.skip().map(|()| Cow::Borrowed("")),
    }
}
