//! How much is measured.

/// How much is measured of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Processes for each subject and shape of `record` and `unsampled`; each is one sample.
    pub(crate) record_processes: usize,
    /// Rounds in each of them, and in each of `threads`; the median is the sample.
    pub(crate) record_rounds: usize,
    /// Bursts in each round, and as many more in which allocations are counted.
    pub(crate) record_bursts: u64,
    /// Processes for each subject and number of threads; each is one sample.
    pub(crate) threads_processes: usize,
    /// Processes for each subject that serves requests; each is one sample.
    pub(crate) requests_processes: usize,
    /// Requests of each of them.
    pub(crate) requests: u64,
    /// Processes for each subject and case of `deliver`; each is one sample.
    pub(crate) deliver_processes: usize,
    /// Bursts of a paced process.
    pub(crate) paced_bursts: u64,
    /// Bursts of a flat-out process.
    pub(crate) flat_bursts: u64,
    /// Processes for each case of `ship`, and runs of each measurement of the log on disk.
    pub(crate) ship_processes: usize,
    /// Bursts of a process of `ship` that compares batches.
    pub(crate) batch_bursts: u64,
    /// For `channels` and `allocations`.
    pub(crate) pairs: PairSizes,
    /// For `features`.
    pub(crate) features: FeatureSizes,
    /// For `backend`.
    pub(crate) backend: BackendSizes,
}

/// How much is measured where ways take turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairSizes {
    /// Processes of each program; each is one sample.
    pub(crate) processes: usize,
    /// Rounds of each exchange in a process, of 20 000 messages each way.
    pub(crate) channel_rounds: usize,
    /// Rounds of each thing that allocates.
    pub(crate) allocation_rounds: usize,
}

/// How much is measured with each feature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeatureSizes {
    /// Processes for each feature and case; each is one sample.
    pub(crate) processes: usize,
    /// Chunks of a process of the streaming application that runs as fast as it can: some seconds of them, since metrics
    /// are sent every second.
    pub(crate) flat_chunks: u64,
    /// Chunks of one that runs at its usual rate.
    pub(crate) paced_chunks: u64,
    /// Requests of a process of the service.
    pub(crate) requests: u64,
}

/// How much of a backend is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BackendSizes {
    /// Starts.
    pub(crate) starts: u64,
    /// Loads that are measured; one more warms up.
    pub(crate) loads: u64,
    /// Requests of a load, 1 100 spans each.
    pub(crate) load_requests: u64,
    /// Spans that are waited for until they are visible.
    pub(crate) visible: u64,
    /// Traces asked for by id.
    pub(crate) lookups: u64,
    /// Calls of each search.
    pub(crate) searches: u64,
}

impl Sizes {
    /// For the report.
    pub(crate) const FULL: Self = Self {
        record_processes: 6,
        record_rounds: 3,
        record_bursts: 30,
        threads_processes: 6,
        requests_processes: 7,
        requests: 40_000,
        deliver_processes: 7,
        paced_bursts: 300,
        flat_bursts: 1_000,
        ship_processes: 7,
        batch_bursts: 30,
        pairs: PairSizes {
            processes: 9,
            channel_rounds: 201,
            allocation_rounds: 101,
        },
        features: FeatureSizes {
            processes: 9,
            flat_chunks: 200_000,
            paced_chunks: 1_800,
            requests: 40_000,
        },
        backend: BackendSizes {
            starts: 20,
            loads: 5,
            load_requests: 1_516,
            visible: 50,
            lookups: 200,
            searches: 50,
        },
    };

    /// For a look.
    pub(crate) const QUICK: Self = Self {
        record_processes: 3,
        record_rounds: 3,
        record_bursts: 10,
        threads_processes: 3,
        requests_processes: 3,
        requests: 10_000,
        deliver_processes: 3,
        paced_bursts: 100,
        flat_bursts: 200,
        ship_processes: 3,
        batch_bursts: 20,
        pairs: PairSizes {
            processes: 3,
            channel_rounds: 31,
            allocation_rounds: 31,
        },
        features: FeatureSizes {
            processes: 3,
            flat_chunks: 60_000,
            paced_chunks: 750,
            requests: 10_000,
        },
        backend: BackendSizes {
            starts: 20,
            loads: 4,
            load_requests: 182,
            visible: 50,
            lookups: 100,
            searches: 20,
        },
    };
}
