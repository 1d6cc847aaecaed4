//! Where traces, logs and metrics go, and in what batches.

use super::schema::{At, Reader, one_of};
use super::yaml::Kind;
use crate::config::limits::{BATCH_RECORDS_MOST, WAIT_MS_MOST};

/// What variables about a signal have in their names.
#[derive(Debug, Clone, Copy)]
struct Names {
    signal: &'static str,
    /// Of batches; metrics have none.
    batch: Option<&'static str>,
    /// Where OTLP over HTTP goes if nothing is said.
    http: &'static str,
}

const TRACES: Names = Names {
    signal: "TRACES",
    batch: Some("OTEL_BSP"),
    http: "http://localhost:4318/v1/traces",
};
const LOGS: Names = Names {
    signal: "LOGS",
    batch: Some("OTEL_BLRP"),
    http: "http://localhost:4318/v1/logs",
};
const METRICS: Names = Names {
    signal: "METRICS",
    batch: None,
    http: "http://localhost:4318/v1/metrics",
};

impl Names {
    fn otlp(self, what: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{what}", self.signal)
    }

    fn exporter(self) -> String {
        format!("OTEL_{}_EXPORTER", self.signal)
    }
}

impl Reader {
    pub(super) fn tracer_provider(&mut self, at: &At<'_>) {
        for at in self.entries(at, &["processors", "limits", "sampler"], &["id_generator"]) {
            match at.name() {
                "processors" => self.processors(&at, TRACES),
                "sampler" => self.sampler(&at),
                _ => self.limits(
                    &at,
                    &[
                        (
                            "attribute_value_length_limit",
                            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                        ),
                        ("attribute_count_limit", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
                        ("event_count_limit", "OTEL_SPAN_EVENT_COUNT_LIMIT"),
                        ("link_count_limit", "OTEL_SPAN_LINK_COUNT_LIMIT"),
                        (
                            "event_attribute_count_limit",
                            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
                        ),
                        (
                            "link_attribute_count_limit",
                            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
                        ),
                    ],
                ),
            }
        }
        self.nowhere_else(at, TRACES);
    }

    pub(super) fn logger_provider(&mut self, at: &At<'_>) {
        for at in self.entries(at, &["processors", "limits"], &[]) {
            match at.name() {
                "processors" => self.processors(&at, LOGS),
                _ => self.limits(
                    &at,
                    &[
                        (
                            "attribute_value_length_limit",
                            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                        ),
                        (
                            "attribute_count_limit",
                            "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
                        ),
                    ],
                ),
            }
        }
        self.nowhere_else(at, LOGS);
    }

    /// The product's own metrics go where these would.
    pub(super) fn meter_provider(&mut self, at: &At<'_>) {
        for at in self.entries(at, &["readers", "exemplar_filter"], &["views"]) {
            if at.name() == "exemplar_filter" {
                let filters = ["trace_based", "always_on", "always_off"];
                self.choice("OTEL_METRICS_EXEMPLAR_FILTER", &filters, &at);
                continue;
            }
            for item in self.items(&at) {
                let Some(reader) = self.only(&item) else {
                    continue;
                };
                match reader.name() {
                    "periodic" => self.periodic(&reader),
                    "pull" => self.pull(&reader),
                    _ => self.unsupported(&reader),
                }
            }
        }
        self.nowhere_else(at, METRICS);
    }

    fn periodic(&mut self, at: &At<'_>) {
        let others = ["timeout", "producers", "cardinality_limits"];
        for at in self.entries(at, &["interval", "exporter"], &others) {
            if at.name() == "exporter" {
                self.exporter(&at, METRICS);
                continue;
            }
            // As soon as may be.
            let interval = self.integer(&at, 0).map(|ms| ms.max(1));
            self.at_most("OTEL_METRIC_EXPORT_INTERVAL", interval, WAIT_MS_MOST, &at);
        }
    }

    /// What is scraped. It is beside what is sent, if anything is.
    fn pull(&mut self, at: &At<'_>) {
        for at in self.entries(at, &["exporter"], &["producers", "cardinality_limits"]) {
            let Some(exporter) = self.only(&at) else {
                continue;
            };
            if exporter.name() != "prometheus/development" {
                self.unsupported(&exporter);
                continue;
            }
            let others = [
                "without_scope_info",
                "without_target_info/development",
                "with_resource_constant_labels",
                "translation_strategy",
            ];
            let name = METRICS.exporter();
            let sent = self.said(&name).map(|said| format!("{said},"));
            let with = format!("{}prometheus", sent.unwrap_or_default());
            self.set(&name, with, &exporter);
            for at in self.entries(&exporter, &["host", "port"], &others) {
                if at.name() == "host" {
                    self.pass("OTEL_EXPORTER_PROMETHEUS_HOST", &at);
                } else if let Some(port) = self.integer(&at, 1) {
                    self.set("OTEL_EXPORTER_PROMETHEUS_PORT", port.to_string(), &at);
                }
            }
        }
    }

    /// A signal that nothing takes goes nowhere, whatever other variables say.
    fn nowhere_else(&mut self, at: &At<'_>, names: Names) {
        if self.said(&names.exporter()).is_none() {
            self.set(&names.exporter(), "none".to_owned(), at);
        }
    }

    fn processors(&mut self, at: &At<'_>, names: Names) {
        for item in self.items(at) {
            let Some(processor) = self.only(&item) else {
                continue;
            };
            match processor.name() {
                "batch" => self.batch(&processor, names),
                "simple" => {
                    self.warn(&processor, "is done in batches by this version");
                    for at in self.entries(&processor, &["exporter"], &[]) {
                        self.exporter(&at, names);
                    }
                }
                _ => self.unsupported(&processor),
            }
        }
    }

    fn batch(&mut self, at: &At<'_>, names: Names) {
        const KNOWN: [&str; 4] = [
            "schedule_delay",
            "export_timeout",
            "max_export_batch_size",
            "exporter",
        ];
        let Some(batch) = names.batch else { return };
        for at in self.entries(at, &KNOWN, &["max_queue_size"]) {
            match at.name() {
                "exporter" => self.exporter(&at, names),
                "schedule_delay" => {
                    // As soon as may be.
                    let delay = self.integer(&at, 0).map(|ms| ms.max(1));
                    self.at_most(&format!("{batch}_SCHEDULE_DELAY"), delay, WAIT_MS_MOST, &at);
                }
                "export_timeout" => {
                    let timeout = self.integer(&at, 0);
                    self.time_limit(&format!("{batch}_EXPORT_TIMEOUT"), timeout, &at);
                }
                _ => {
                    let records = self.integer(&at, 1);
                    let variable = format!("{batch}_MAX_EXPORT_BATCH_SIZE");
                    self.at_most(&variable, records, BATCH_RECORDS_MOST, &at);
                }
            }
        }
    }

    /// A time of which 0 is without end.
    fn time_limit(&mut self, variable: &str, ms: Option<u64>, at: &At<'_>) {
        let ms = ms.map(|ms| if ms == 0 { u64::MAX } else { ms });
        self.at_most(variable, ms, WAIT_MS_MOST, at);
    }

    fn at_most(&mut self, variable: &str, number: Option<u64>, most: u64, at: &At<'_>) {
        let Some(number) = number else { return };
        if number > most {
            self.warn(
                at,
                &format!("is {most} in this version, which takes no more"),
            );
        }
        self.set(variable, number.min(most).to_string(), at);
    }

    fn exporter(&mut self, at: &At<'_>, names: Names) {
        let Some(exporter) = self.only(at) else {
            return;
        };
        let is_http = match exporter.name() {
            "otlp_http" => true,
            "otlp_grpc" => false,
            _ => return self.unsupported(&exporter),
        };
        let before = self.said(&names.exporter()).map(str::to_owned);
        if before.as_ref().is_some_and(|said| said != "prometheus") {
            return self.warn(
                &exporter,
                "is not used: this version sends to the first exporter of a signal",
            );
        }
        let scraped = before.map_or_else(String::new, |said| format!(",{said}"));
        self.set(&names.exporter(), format!("otlp{scraped}"), &exporter);
        let default = if is_http {
            names.http
        } else {
            "http://localhost:4317"
        };
        self.set(&names.otlp("ENDPOINT"), default.to_owned(), &exporter);
        let protocol = if is_http { "http/protobuf" } else { "grpc" };
        self.set(&names.otlp("PROTOCOL"), protocol.to_owned(), &exporter);
        let mut known = vec![
            "endpoint",
            "tls",
            "headers",
            "headers_list",
            "compression",
            "timeout",
        ];
        if is_http {
            known.push("encoding");
        }
        if names.batch.is_none() {
            known.extend(["temporality_preference", "default_histogram_aggregation"]);
        }
        let (mut headers, mut list) = (None, None);
        for at in self.entries(&exporter, &known, &[]) {
            match at.name() {
                "endpoint" => self.pass(&names.otlp("ENDPOINT"), &at),
                "tls" => self.tls(&at, names, is_http),
                "headers" => headers = Some((self.headers(&at), at)),
                "headers_list" => list = self.text(&at).map(|text| (members_of(&text), at)),
                "compression" => self.compression(&at, names),
                "encoding" => self.encoding(&at, names),
                "temporality_preference" => self.temporality(&at, names),
                "default_histogram_aggregation" => self.choice(
                    &names.otlp("DEFAULT_HISTOGRAM_AGGREGATION"),
                    &[
                        "explicit_bucket_histogram",
                        "base2_exponential_bucket_histogram",
                    ],
                    &at,
                ),
                _ => {
                    let timeout = self.integer(&at, 0);
                    self.time_limit(&names.otlp("TIMEOUT"), timeout, &at);
                }
            }
        }
        let mut pairs: Vec<Pair> = Vec::new();
        let mut first = None;
        for (more, at) in headers.into_iter().chain(list) {
            // Those of `headers` hold over the list.
            let known: Vec<_> = pairs.iter().map(|pair| pair.name.clone()).collect();
            pairs.extend(more.into_iter().filter(|pair| !known.contains(&pair.name)));
            first.get_or_insert(at);
        }
        if let Some(at) = first {
            let pairs: Vec<_> = pairs.into_iter().map(|pair| pair.text).collect();
            self.set(&names.otlp("HEADERS"), pairs.join(","), &at);
        }
    }

    fn tls(&mut self, at: &At<'_>, names: Names, is_http: bool) {
        let mut known = vec!["ca_file", "key_file", "cert_file"];
        if !is_http {
            known.push("insecure");
        }
        for at in self.entries(at, &known, &[]) {
            match at.name() {
                "ca_file" => self.pass(&names.otlp("CERTIFICATE"), &at),
                "key_file" => self.pass(&names.otlp("CLIENT_KEY"), &at),
                "cert_file" => self.pass(&names.otlp("CLIENT_CERTIFICATE"), &at),
                _ => self.truth(&names.otlp("INSECURE"), &at),
            }
        }
    }

    /// Headers as the variable has them, percent-encoded.
    fn headers(&mut self, at: &At<'_>) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for item in self.items(at) {
            let (mut name, mut value) = (None, None);
            for at in self.entries(&item, &["name", "value"], &[]) {
                match at.name() {
                    "name" => name = self.text(&at),
                    _ => value = Some(self.text(&at)),
                }
            }
            match (name, value) {
                (Some(name), Some(Some(value))) => {
                    pairs.push(Pair {
                        text: format!("{}={}", encoded(&name), encoded(&value)),
                        name: name.to_ascii_lowercase(),
                    });
                }
                // One without a value is none.
                (Some(_), Some(None)) => {}
                _ => {
                    let message = format!("`{}` has no name or no value", item.path);
                    self.problem(&item, message, "write both");
                }
            }
        }
        pairs
    }

    fn compression(&mut self, at: &At<'_>, names: Names) {
        let variable = names.otlp("COMPRESSION");
        self.choice(&variable, &["gzip", "zstd", "none"], at);
    }

    fn temporality(&mut self, at: &At<'_>, names: Names) {
        let variable = names.otlp("TEMPORALITY_PREFERENCE");
        self.choice(&variable, &["cumulative", "delta", "low_memory"], at);
        // There it is called otherwise than in the variable.
        if self.said(&variable) == Some("low_memory") {
            self.set(&variable, "lowmemory".to_owned(), at);
        }
    }

    /// One of several names, which are those of the variable, too.
    fn choice(&mut self, variable: &str, names: &[&str], at: &At<'_>) {
        match self.text(at) {
            Some(text) if names.contains(&text.as_str()) => self.set(variable, text, at),
            Some(_) => self.wrong(at, &one_of(names)),
            None => {}
        }
    }

    fn encoding(&mut self, at: &At<'_>, names: Names) {
        match self.text(at).as_deref() {
            Some("json") => self.set(&names.otlp("PROTOCOL"), "http/json".to_owned(), at),
            Some("protobuf") | None => {}
            Some(_) => self.wrong(at, &one_of(&["protobuf", "json"])),
        }
    }

    fn sampler(&mut self, at: &At<'_>) {
        let Some(chosen) = self.only(at) else { return };
        if chosen.name() != "parent_based" {
            return self.root_sampler(&chosen, "");
        }
        const PARENTS: [(&str, &str); 4] = [
            ("remote_parent_sampled", "always_on"),
            ("remote_parent_not_sampled", "always_off"),
            ("local_parent_sampled", "always_on"),
            ("local_parent_not_sampled", "always_off"),
        ];
        self.set(
            "OTEL_TRACES_SAMPLER",
            "parentbased_always_on".to_owned(),
            &chosen,
        );
        let mut known = vec!["root"];
        known.extend(PARENTS.map(|(name, _)| name));
        for at in self.entries(&chosen, &known, &[]) {
            if matches!(at.node.kind, Kind::Null) {
                continue;
            }
            let Some(sampler) = self.only(&at) else {
                continue;
            };
            match PARENTS.iter().find(|(name, _)| *name == at.name()) {
                None => self.root_sampler(&sampler, "parentbased_"),
                Some((_, usual)) if *usual == sampler.name() => {}
                Some((_, usual)) => {
                    self.warn(&sampler, &format!("is `{usual}` in this version"));
                }
            }
        }
    }

    fn root_sampler(&mut self, at: &At<'_>, parent: &str) {
        let name = match at.name() {
            "always_on" => "always_on",
            "always_off" => "always_off",
            "trace_id_ratio_based" => "traceidratio",
            _ => return self.unsupported(at),
        };
        self.set("OTEL_TRACES_SAMPLER", format!("{parent}{name}"), at);
        let known: &[&str] = if name == "traceidratio" {
            &["ratio"]
        } else {
            &[]
        };
        for at in self.entries(at, known, &[]) {
            match &at.node.kind {
                Kind::Plain(text)
                    if text
                        .parse()
                        .is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)) =>
                {
                    self.set("OTEL_TRACES_SAMPLER_ARG", text.clone(), &at);
                }
                Kind::Null => {}
                _ => self.wrong(&at, "a number from 0 to 1"),
            }
        }
    }
}

/// A header.
struct Pair {
    /// In lower case.
    name: String,
    /// As the variable has it.
    text: String,
}

/// The members of a list as the variable has it.
fn members_of(list: &str) -> Vec<Pair> {
    let members = list.split(',').map(str::trim).filter(|m| !m.is_empty());
    let pairs = members.map(|member| Pair {
        name: member
            .split('=')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
        text: member.to_owned(),
    });
    pairs.collect()
}

/// A text as it may stand in a list of pairs.
fn encoded(text: &str) -> String {
    let mut new = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | b',' | b'=' | b' ' | 0..=0x1f | 0x7f.. => new.push_str(&format!("%{byte:02X}")),
            _ => new.push(char::from(byte)),
        }
    }
    new
}
