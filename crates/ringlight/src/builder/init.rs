//! Starting: for the process, as a subscriber or a layer of the caller's, and beside other layers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use super::Builder;
use super::console::Console;
#[cfg(feature = "otel")]
use super::outputs::connect;
use crate::InitError;
use crate::config::ConsoleInput;
#[cfg(feature = "otel")]
use crate::config::Settings;
use crate::subscriber::{LayerFilter, Registry, RinglightLayer, RinglightSubscriber, beside};
use crate::telemetry::Telemetry;

/// Whether the process's subscriber is ours.
static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Puts a subscriber beside layers.
pub(super) type Beside = Box<dyn FnOnce(RinglightSubscriber, Console) -> Dispatch + Send>;

impl Builder {
    /// Puts layers of `tracing_subscriber` beside the recording: any layers, with any filters.
    ///
    /// `layers` puts them on the registry it is given. They see what they want to see, whatever
    /// `RUST_LOG` says; a span or event that none of them wants goes past them at the cost it has
    /// without any. A span that some layer wants ends, here too, when the registry closes it: after the
    /// last of its children that are in the registry. Where the `Debug` of a field panics while a layer opens
    /// such a child, that is never: the registry then keeps the child for good, whoever is on it. Not so
    /// where Ringlight opens it, which is before all layers: such a child is in neither.
    ///
    /// ```
    /// use tracing_subscriber::filter::LevelFilter;
    /// use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let warnings = tracing_subscriber::fmt::layer().with_filter(LevelFilter::WARN);
    /// let _telemetry = ringlight::builder()
    ///     .log_format(ringlight::LogFormat::Off)
    ///     .beside(|registry| registry.with(warnings))
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn beside<S>(mut self, layers: impl FnOnce(Registry) -> S + Send + 'static) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        self.beside = Some(Box::new(|subscriber, console| match console.layer() {
            Some(console) => beside(subscriber, |registry| layers(registry).with(console)),
            None => beside(subscriber, layers),
        }));
        self
    }

    /// Starts telemetry for the whole process. Returns at once, whether or not a backend is there.
    ///
    /// # Errors
    /// There is a global subscriber already; an endpoint given in code or on the command line
    /// cannot be used; a directive given in code is not understood; a setting is out of its range; the
    /// system has no thread to give.
    pub fn init(self) -> Result<Telemetry, InitError> {
        // Looked at first, so that a second call starts nothing. Relaxed: nothing is read by it; of
        // two calls at once `set_global_default` lets one through.
        if INITIALIZED.load(Ordering::Relaxed) {
            return Err(InitError::AlreadyInitialized);
        }
        #[cfg(feature = "otel")]
        let interop = self.interop;
        #[cfg(feature = "log")]
        let bridges_log = self.bridges_log;
        let (dispatch, telemetry) = self.build()?;
        #[cfg(feature = "otel")]
        let globals = crate::otel::Globals::of(&dispatch, interop, telemetry.meter_provider());
        tracing_core::dispatcher::set_global_default(dispatch).map_err(|_| already_set())?;
        // What another thread met for the first time since the subscriber is known, and before it was the process's, is of
        // no interest to anybody so far, and would never be.
        tracing_core::callsite::rebuild_interest_cache();
        // Relaxed: as it is read.
        INITIALIZED.store(true, Ordering::Relaxed);
        #[cfg(feature = "otel")]
        globals.set();
        #[cfg(feature = "log")]
        if bridges_log {
            crate::log_bridge::set();
        }
        crate::last_words::arrange(&Arc::downgrade(&telemetry.shared));
        Ok(telemetry)
    }

    /// Starts telemetry without making it the process's: the subscriber goes wherever the caller
    /// takes it, such as into `tracing::dispatcher::with_default`.
    ///
    /// # Errors
    /// As [`init`](Self::init), except for [`InitError::AlreadyInitialized`] and [`InitError::OtherSubscriber`].
    pub fn build(mut self) -> Result<(Dispatch, Telemetry), InitError> {
        let layers = self.beside.take();
        let (subscriber, telemetry, console) = self.start()?;
        let dispatch = match layers {
            Some(layers) => layers(subscriber, console),
            None => match console.layer() {
                Some(console) => beside(subscriber, |registry| registry.with(console)),
                None => Dispatch::new(subscriber),
            },
        };
        #[cfg(feature = "profiling")]
        telemetry.shared.runtimes.begin(Some(&dispatch));
        Ok((dispatch, telemetry))
    }

    /// Starts telemetry as a layer, for a registry of the caller's own.
    ///
    /// `RUST_LOG`, or [`default_filter`](Self::default_filter), and the directives of single outputs say
    /// what this layer records and nothing about others; [`with_filter`](Layer::with_filter) narrows that
    /// down. A span ends when the registry closes it, which is after the last of its children.
    ///
    /// As [`init`](Self::init) it sets a panic hook, so that spans learn what a panic said. Layers given
    /// to [`beside`](Self::beside) are not part of it.
    ///
    /// The layer costs more than the subscriber of [`init`](Self::init): every span is kept in the
    /// registry as well. [`beside`](Self::beside) keeps spans that no other layer wants out of it.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let (layer, _telemetry) = ringlight::builder().layer()?;
    /// tracing_subscriber::registry().with(layer).init();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`init`](Self::init), except for [`InitError::AlreadyInitialized`] and [`InitError::OtherSubscriber`].
    pub fn layer<S>(
        mut self,
    ) -> Result<(impl Layer<S> + Send + Sync + use<S>, Telemetry), InitError>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.inputs.console = ConsoleInput::Impossible;
        let (subscriber, telemetry, _) = self.start()?;
        let layer = RinglightLayer::new(subscriber);
        let filter = LayerFilter(layer.clone());
        crate::last_words::arrange(&Arc::downgrade(&telemetry.shared));
        #[cfg(feature = "profiling")]
        telemetry.shared.runtimes.begin(None);
        Ok((layer.with_filter(filter), telemetry))
    }

    /// Starts a [relay](ringlight_collector::Relay) in place of telemetry: it sends requests that others have made to the OTLP endpoint, with
    /// the protocol, headers, compression, certificates, spool and pipeline settings that this builder and the variables
    /// name. Nothing of this process is recorded, and `OTEL_SDK_DISABLED` and `OTEL_*_EXPORTER` do not
    /// apply.
    ///
    /// # Errors
    /// There is no endpoint, or it cannot be used; a setting is out of its range; the spool's directory cannot be
    /// used; the system has no thread to give.
    #[cfg(feature = "otel")]
    pub fn start_relay(mut self) -> Result<ringlight_collector::Relay, InitError> {
        self.inputs.is_relay = true;
        self.inputs.console = ConsoleInput::Impossible;
        let mut settings = Settings::resolve(self.inputs)?;
        let mut destinations = Vec::new();
        connect(&mut settings, &mut destinations)?;
        settings.tell_warnings();
        let destination = destinations.pop().ok_or_else(|| InitError::Endpoint {
            origin: "`start_relay`".to_owned(),
            reason: "there is no endpoint to pass anything on to".to_owned(),
            hint: "name one with `otlp_endpoint`",
        })?;
        Ok(ringlight_collector::Relay::start(
            settings.pipeline,
            destination,
        )?)
    }
}

/// Why there is no place for the global subscriber.
fn already_set() -> InitError {
    let is_ours = |dispatch: &Dispatch| RinglightSubscriber::behind(dispatch).is_some();
    match tracing_core::dispatcher::get_default(is_ours) {
        true => InitError::AlreadyInitialized,
        false => InitError::OtherSubscriber,
    }
}
