//! A terminal: lines come in, text goes out.

use std::fmt;

use ringlight::channel::mpsc;
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tracing::Span;

use super::ChannelError;
use crate::wires::Sender;

/// What follows an answer: the user may type again.
pub(super) const PROMPT: &str = "\n> ";

/// What the user types to end an answer.
pub(super) const CANCEL: &str = "/cancel";

/// Text on its way between terminal and agent, each way.
pub(super) const BUFFERED_BYTES_MAX: usize = 16 * 1024;

/// The agent's end of a terminal.
pub struct Cli {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    /// A line that was typed while an answer came.
    typed_ahead: Option<String>,
    /// What was shown of the answer, in bytes.
    shown_bytes: usize,
}

impl fmt::Debug for Cli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cli").finish_non_exhaustive()
    }
}

impl Cli {
    pub(super) fn new(stream: DuplexStream) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            lines: BufReader::new(reader).lines(),
            writer,
            typed_ahead: None,
            shown_bytes: 0,
        }
    }

    #[tracing::instrument(
        name = "channel.cli",
        skip_all,
        fields(channel.operation = "receive", channel.bytes)
    )]
    pub(super) async fn receive(&mut self) -> Result<String, ChannelError> {
        let line = match self.typed_ahead.take() {
            Some(line) => line,
            None => loop {
                let line = self.lines.next_line().await?.ok_or(ChannelError::Closed)?;
                // The answer had ended before the user wanted it to.
                if line != CANCEL {
                    break line;
                }
            },
        };
        Span::current().record("channel.bytes", line.len());
        Ok(line)
    }

    #[tracing::instrument(
        name = "channel.cli",
        skip_all,
        fields(channel.operation = "stream", channel.bytes, channel.cancelled = false)
    )]
    pub(super) async fn relay(
        &mut self,
        mut tokens: mpsc::Receiver<String>,
        cancel: Sender<()>,
    ) -> Result<(), ChannelError> {
        self.shown_bytes = 0;
        let mut is_typing = true;
        loop {
            tokio::select! {
                token = tokens.recv() => {
                    let Some(token) = token else { break };
                    self.writer.write_all(token.as_bytes()).await?;
                    self.shown_bytes += token.len();
                }
                line = self.lines.next_line(), if is_typing => match line? {
                    Some(line) if line == CANCEL => {
                        Span::current().record("channel.cancelled", true);
                        // The turn may have ended by itself.
                        let _ = cancel.send(()).await;
                    }
                    Some(line) => {
                        self.typed_ahead = Some(line);
                        is_typing = false;
                    }
                    None => is_typing = false,
                },
            }
        }
        Span::current().record("channel.bytes", self.shown_bytes);
        Ok(())
    }

    /// Ends an answer by the prompt; one that was not shown yet is shown before.
    #[tracing::instrument(
        name = "channel.cli",
        skip_all,
        fields(channel.operation = "send", channel.bytes = answer.len())
    )]
    pub(super) async fn send(&mut self, answer: &str) -> Result<(), ChannelError> {
        if std::mem::take(&mut self.shown_bytes) == 0 {
            self.writer.write_all(answer.as_bytes()).await?;
        }
        self.writer.write_all(PROMPT.as_bytes()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::wires;

    #[tokio::test]
    async fn a_line_is_a_question_and_an_answer_is_shown_as_it_comes() {
        let (here, mut there) = tokio::io::duplex(1_024);
        let mut cli = Cli::new(here);
        there.write_all(b"/cancel\nwhat?\n").await.unwrap();
        assert_eq!(cli.receive().await.unwrap(), "what?");

        let (sender, tokens) = mpsc::channel(4);
        let (cancel, mut cancelled) = wires::open(wires::CANCEL, 1);
        there.write_all(b"/cancel\n").await.unwrap();
        let turn = async move {
            sender.send("Hel".to_owned()).await.unwrap();
            assert!(cancelled.recv().await.is_some());
        };
        let (relayed, ()) = tokio::join!(cli.relay(tokens, cancel), turn);
        relayed.unwrap();
        cli.send("Hello").await.unwrap();
        cli.send("no").await.unwrap();
        drop(cli);
        let mut shown = String::new();
        there.read_to_string(&mut shown).await.unwrap();
        assert_eq!(shown, format!("Hel{PROMPT}no{PROMPT}"));
    }

    #[tokio::test]
    async fn a_terminal_that_is_closed_asks_nothing() {
        let (here, there) = tokio::io::duplex(16);
        drop(there);
        let error = Cli::new(here).receive().await.unwrap_err();
        assert!(matches!(error, ChannelError::Closed), "{error}");
    }
}
