//! The providers a question may be sent to.

/// Who runs a model. All are asked by the chat-completions protocol, which each of them speaks beside
/// its own, and all of them are the stand-in server here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Anthropic's Claude.
    Claude,
    /// OpenAI.
    OpenAi,
    /// A local Ollama.
    Ollama,
    /// Google's Gemini.
    Gemini,
    /// Anybody else who speaks the protocol.
    Compatible,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Claude,
        Self::OpenAi,
        Self::Ollama,
        Self::Gemini,
        Self::Compatible,
    ];

    /// The value of `gen_ai.provider.name`: the well-known ones where the semantic conventions have
    /// one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "anthropic",
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
            Self::Gemini => "gcp.gemini",
            Self::Compatible => "compatible",
        }
    }
}
