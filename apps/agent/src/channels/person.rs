//! Somebody at a terminal, who always has one more question.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::cli::{CANCEL, PROMPT};
use crate::corpus;

/// Of as many answers, one is not waited for.
const PATIENT_ANSWERS: u32 = 6;

/// Asks and reads until the agent closes the terminal.
pub(crate) async fn converse(mut terminal: DuplexStream, mut random: fastrand::Rng) {
    loop {
        let question = format!("{}\n", corpus::next_question(&mut random));
        if terminal.write_all(question.as_bytes()).await.is_err() {
            return;
        }
        let mut is_impatient = random.u32(..PATIENT_ANSWERS) == 0;
        let mut shown = Vec::new();
        while !shown.ends_with(PROMPT.as_bytes()) {
            if !matches!(terminal.read_buf(&mut shown).await, Ok(1..)) {
                return;
            }
            if is_impatient {
                is_impatient = false;
                let cancel = format!("{CANCEL}\n");
                if terminal.write_all(cancel.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}
