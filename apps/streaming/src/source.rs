//! Sources: where chunks come from.
//!
//! A source plays a recording of its streams: the clock is the rate at which chunks become
//! available, as it would be at a socket or a sound card. Nothing else in the application waits for
//! time. Now and then a stream "reconnects" and delivers a backlog at once, which is what bounded
//! channels are for; now and then a chunk arrives damaged or is missing.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ringlight::TraceContext;
use ringlight::channel::mpsc::Sender;
use ringlight_app_harness::Stop;
use tokio::time::{Interval, MissedTickBehavior};

use crate::app::Counters;
use crate::{Chunk, ChunkBuilder, StreamId};

const SAMPLES_PER_CHUNK: usize = 256;

/// Chunks of one stream that become available together.
const GROUP: RangeInclusive<u32> = 16..=32;

/// Chunks of one stream that become available together after a reconnect.
const BACKLOG: u32 = 96;

/// How often a source looks how many chunks its rate allows.
const TICK: Duration = Duration::from_millis(20);

/// What a source reads, and how fast.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// The streams it reads, one after another.
    pub streams: Vec<StreamId>,
    /// Chunks a second on average; 0 reads as fast as the channels take them.
    pub chunks_per_second: f64,
    /// Chunks it reads at most, all streams together.
    pub chunks_max: Option<u64>,
    /// Where its pseudo-random choices start.
    pub seed: u64,
}

/// Reads until stopped or done; returns when the last chunk read is in its channel.
pub(crate) async fn run_source(
    config: SourceConfig,
    shards: Vec<Sender<Chunk>>,
    stop: Stop,
    counters: Arc<Counters>,
) {
    let mut random = fastrand::Rng::with_seed(config.seed);
    let mut players: Vec<Player> = config
        .streams
        .iter()
        .map(|stream_id| Player::new(*stream_id, &mut random))
        .collect();
    if players.is_empty() || shards.is_empty() {
        return;
    }
    let mut pace = Pace::new(config.chunks_per_second);
    let mut builder = ChunkBuilder::default();
    let mut group = Vec::with_capacity(BACKLOG as usize);
    let mut left = config.chunks_max;
    for turn in 0.. {
        if left == Some(0) {
            return;
        }
        tokio::select! {
            () = pace.available() => {}
            () = stop.requested() => return,
        }
        if stop.is_requested() {
            return;
        }
        let turns = players.len();
        let player = &mut players[turn % turns];
        let count = if random.u32(..40) == 0 {
            BACKLOG
        } else {
            random.u32(GROUP)
        };
        // Less than a group's, so that it stays in range.
        let count = left.map_or(count, |left| u64::from(count).min(left) as u32);
        left = left.map(|left| left - u64::from(count));
        pace.taken(count);
        group.extend((0..count).map(|_| player.next_chunk(&mut builder, &mut random)));
        let shard = &shards[player.stream_id.0 as usize % shards.len()];
        let read = group.len() as u64;
        if !deliver(player.stream_id, shard, &mut group).await {
            return;
        }
        counters.read(read);
    }
}

/// Sends a group of chunks on; false when the receiver is gone.
#[tracing::instrument(
    name = "read_stream",
    skip_all,
    fields(
        otel.kind = "producer",
        stream_id = %stream_id,
        chunk_len = group.iter().map(|chunk| chunk.bytes.len()).sum::<usize>(),
        chunks = group.len(),
        channel.fill_ratio,
    )
)]
async fn deliver(stream_id: StreamId, shard: &Sender<Chunk>, group: &mut Vec<Chunk>) -> bool {
    let read_in = TraceContext::current();
    if group.len() > *GROUP.end() as usize {
        tracing::info!(
            stream_id = %stream_id,
            chunks = group.len(),
            "the stream reconnected and delivers its backlog"
        );
    }
    for chunk in group.drain(..) {
        if shard.send(Chunk { read_in, ..chunk }).await.is_err() {
            return false;
        }
    }
    true
}

/// Allows chunks at a rate: an interval timer is the recording's clock, and a backlog is paid back
/// afterwards, so that the average holds.
#[derive(Debug)]
struct Pace {
    ticks: Option<Interval>,
    chunks_per_tick: f64,
    credit: f64,
}

impl Pace {
    fn new(chunks_per_second: f64) -> Self {
        let paced = chunks_per_second > 0.0;
        Self {
            ticks: paced.then(|| {
                let mut ticks = tokio::time::interval(TICK);
                // After a stall the chunks that became available meanwhile are all there.
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                ticks
            }),
            chunks_per_tick: chunks_per_second * TICK.as_secs_f64(),
            credit: 0.0,
        }
    }

    async fn available(&mut self) {
        let Some(ticks) = &mut self.ticks else {
            // Unpaced, the channels hold the source back; a stop must still get its turn.
            tokio::task::yield_now().await;
            return;
        };
        while self.credit <= 0.0 {
            ticks.tick().await;
            self.credit += self.chunks_per_tick;
        }
    }

    fn taken(&mut self, count: u32) {
        self.credit -= f64::from(count);
    }
}

/// Plays one stream: a tone with some noise that changes its pitch and loudness now and then.
#[derive(Debug)]
struct Player {
    stream_id: StreamId,
    sequence: u64,
    phase: f64,
    cycles_per_chunk: f64,
    amplitude: f64,
}

impl Player {
    fn new(stream_id: StreamId, random: &mut fastrand::Rng) -> Self {
        Self {
            stream_id,
            sequence: 0,
            phase: 0.0,
            cycles_per_chunk: 2.0 + random.f64() * 40.0,
            amplitude: 1_000.0 + random.f64() * 2_000.0,
        }
    }

    fn next_chunk(&mut self, builder: &mut ChunkBuilder, random: &mut fastrand::Rng) -> Chunk {
        if random.u32(..100) == 0 {
            self.cycles_per_chunk = 2.0 + random.f64() * 40.0;
            self.amplitude = 1_000.0 + random.f64() * 20_000.0;
        }
        let step = std::f64::consts::TAU * self.cycles_per_chunk / SAMPLES_PER_CHUNK as f64;
        let mut samples = [0_i16; SAMPLES_PER_CHUNK];
        for sample in &mut samples {
            let noise = (random.f64() - 0.5) * 100.0;
            *sample = (self.phase.sin() * self.amplitude + noise) as i16;
            self.phase = (self.phase + step) % std::f64::consts::TAU;
        }
        if random.u32(..400) == 0 {
            // A chunk went missing before it reached us.
            self.sequence += 1;
        }
        let chunk = builder.build(self.stream_id, self.sequence, &samples);
        self.sequence += 1;
        if random.u32(..250) == 0 {
            damage(chunk, random)
        } else {
            chunk
        }
    }
}

/// What noise on the line does to a chunk.
fn damage(chunk: Chunk, random: &mut fastrand::Rng) -> Chunk {
    let mut bytes = chunk.bytes.to_vec();
    match random.u32(..3) {
        0 => bytes.truncate(random.usize(..bytes.len())),
        1 => bytes[0] ^= 0x20,
        _ => {
            let index = random.usize(24..bytes.len());
            bytes[index] ^= 1 << random.u32(..8);
        }
    }
    Chunk {
        bytes: bytes.into(),
        ..chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Samples, bounded};

    #[tokio::test(start_paused = true)]
    async fn the_average_rate_holds_whatever_the_backlogs() {
        let mut pace = Pace::new(1_000.0);
        let start = tokio::time::Instant::now();
        let mut taken = 0_u32;
        while taken < 20_000 {
            pace.available().await;
            let count = if taken.is_multiple_of(7) {
                BACKLOG
            } else {
                *GROUP.start()
            };
            pace.taken(count);
            taken += count;
        }
        // The clock is paused, so this is arithmetic, not a measurement.
        let rate = f64::from(taken) / start.elapsed().as_secs_f64();
        assert!((950.0..1_050.0).contains(&rate), "{rate}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_reads_real_chunks_until_stopped() {
        let (request_stop, stop) = Stop::new();
        let counters = Arc::new(Counters::default());
        let (sender, mut receiver) = bounded("shard", 8);
        let config = SourceConfig {
            streams: vec![StreamId(0), StreamId(1)],
            chunks_per_second: 500.0,
            chunks_max: None,
            seed: 9,
        };
        let source = tokio::spawn(run_source(
            config,
            vec![sender],
            stop,
            Arc::clone(&counters),
        ));
        let (mut good, mut bad) = (0, 0);
        while good + bad < 2_000 {
            let chunk = receiver.recv().await.unwrap();
            match Samples::parse(&chunk) {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
        assert!(good > 1_900 && bad > 0, "{good} good, {bad} bad");
        request_stop.send_replace(true);
        while receiver.recv().await.is_some() {
            good += 1;
        }
        source.await.unwrap();
        assert_eq!(counters.work().chunks_read, good + bad);
    }
}
