//! Where questions come from, and answers go to.

mod cli;
mod discord;
mod person;
mod slack;
mod telegram;

use std::io;

use ringlight::channel::mpsc;

use crate::http_client::{HttpClient, HttpError};
use crate::wires::Sender;

pub(crate) use cli::Cli;
use discord::Discord;
pub(crate) use person::converse;
use slack::Slack;
use telegram::Telegram;

/// Why nothing came, or nothing could be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The chat service failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The chat service refused.
    #[error("the chat service refused: {0}")]
    Refused(String),
    /// The terminal failed.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
    /// Nobody is there any more.
    #[error("nobody asks any more")]
    Closed,
}

/// A way to talk to the agent.
#[derive(Debug)]
pub enum Channel {
    /// None: whoever calls for a turn has its outcome.
    Caller,
    /// A terminal.
    Cli(Cli),
    /// A chat of Telegram.
    Telegram(Telegram),
    /// A channel of Discord.
    Discord(Discord),
    /// A channel of Slack.
    Slack(Slack),
}

impl Channel {
    /// The channel of the `number`th session: the kinds take turns. Whoever sits at a terminal is
    /// played by a task.
    pub(crate) fn of_session(number: u32, services: &HttpClient) -> Self {
        let services = services.clone();
        match number % 4 {
            0 => {
                let (here, there) = tokio::io::duplex(cli::BUFFERED_BYTES_MAX);
                tokio::spawn(converse(there, fastrand::Rng::new()));
                Self::Cli(Cli::new(here))
            }
            1 => Self::Telegram(Telegram::new(services)),
            2 => Self::Discord(Discord::new(services, number)),
            _ => Self::Slack(Slack::new(services, number)),
        }
    }

    /// What it is called.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Cli(_) => "cli",
            Self::Telegram(_) => "telegram",
            Self::Discord(_) => "discord",
            Self::Slack(_) => "slack",
        }
    }

    /// Whether answers are shown while they come.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self, Self::Cli(_))
    }

    /// Waits for the next question.
    ///
    /// # Errors
    /// None can come.
    pub(crate) async fn receive(&mut self) -> Result<String, ChannelError> {
        match self {
            Self::Caller => Err(ChannelError::Closed),
            Self::Cli(cli) => cli.receive().await,
            Self::Telegram(telegram) => telegram.receive().await,
            Self::Discord(discord) => discord.receive().await,
            Self::Slack(slack) => slack.receive().await,
        }
    }

    /// Shows an answer while it comes, and tells if the user does not want it any more. Returns when
    /// no more of it comes.
    ///
    /// # Errors
    /// It cannot be shown.
    pub(crate) async fn relay(
        &mut self,
        mut tokens: mpsc::Receiver<String>,
        cancel: Sender<()>,
    ) -> Result<(), ChannelError> {
        match self {
            Self::Cli(cli) => cli.relay(tokens, cancel).await,
            _ => {
                tokens.close();
                Ok(())
            }
        }
    }

    /// Sends an answer, of a live channel what is left of it to send.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(crate) async fn send(&mut self, answer: &str) -> Result<(), ChannelError> {
        match self {
            Self::Caller => Ok(()),
            Self::Cli(cli) => cli.send(answer).await,
            Self::Telegram(telegram) => telegram.send(answer).await,
            Self::Discord(discord) => discord.send(answer).await,
            Self::Slack(slack) => slack.send(answer).await,
        }
    }
}
