//! What is said on the command line.

use super::Builder;

impl Builder {
    /// Takes over what the user gave on the command line.
    pub fn args(mut self, args: &crate::TelemetryArgs) -> Self {
        self.inputs.argument_endpoint = args.otlp_endpoint.clone();
        self.inputs.lines.argument_format = args.log_format;
        #[cfg(feature = "profiling")]
        self.inputs.traces.take_argument(args.trace_dir.as_deref());
        #[cfg(feature = "prometheus")]
        self.inputs
            .metrics
            .take_argument(args.prometheus.as_deref());
        self
    }
}
