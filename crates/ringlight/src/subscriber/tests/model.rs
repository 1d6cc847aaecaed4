//! The life of spans, held against a model.

use super::*;

/// One step in the life of some spans; numbers choose among those that are there.
#[derive(Debug, Clone)]
enum Step {
    Open,
    OpenUnder(usize),
    OpenRoot,
    Enter(usize),
    Leave(usize),
    Record(usize, u64),
    Clone(usize),
    Drop(usize),
    Log,
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    prop_oneof![
        3 => Just(Step::Open),
        1 => which().prop_map(Step::OpenUnder),
        1 => Just(Step::OpenRoot),
        5 => which().prop_map(Step::Enter),
        3 => which().prop_map(Step::Leave),
        2 => (which(), any::<u64>()).prop_map(|(which, value)| Step::Record(which, value)),
        1 => which().prop_map(Step::Clone),
        3 => which().prop_map(Step::Drop),
        2 => Just(Step::Log),
    ]
}

/// What a span is expected to come out as.
#[derive(Debug, Clone, Copy)]
struct Expected {
    parent: Option<usize>,
    value: u64,
}

/// Spans as simple as can be: who is open, who is entered, what is expected.
#[derive(Default)]
struct Model {
    expected: Vec<Expected>,
    handles: Vec<(usize, Span)>,
    entered: Vec<(usize, tracing::span::Id)>,
    logged_in: Vec<Option<usize>>,
}

impl Model {
    fn current(&self) -> Option<usize> {
        self.entered.last().map(|(index, _)| *index)
    }

    fn open(&mut self, parent: Option<usize>, open: impl FnOnce(u64) -> Span) {
        let index = self.expected.len();
        self.expected.push(Expected { parent, value: 0 });
        self.handles.push((index, open(index as u64)));
    }

    fn step(&mut self, dispatch: &Dispatch, step: &Step) {
        let handles = self.handles.len();
        let chosen = |which: usize| which.checked_rem(handles);
        match *step {
            Step::Open => {
                self.open(self.current(), |n| info_span!("modelled", n, value = 0_u64));
            }
            Step::OpenRoot => {
                self.open(
                    None,
                    |n| info_span!(parent: None, "modelled", n, value = 0_u64),
                );
            }
            Step::OpenUnder(which) => {
                if let Some((parent, handle)) = chosen(which).map(|at| self.handles[at].clone()) {
                    self.open(
                        Some(parent),
                        |n| info_span!(parent: &handle, "modelled", n, value = 0_u64),
                    );
                }
            }
            Step::Enter(which) => {
                if let Some((index, handle)) = chosen(which).map(|at| self.handles[at].clone()) {
                    let id = handle.id().unwrap();
                    dispatch.enter(&id);
                    self.entered.push((index, id));
                }
            }
            Step::Leave(which) => {
                if let Some(at) = which.checked_rem(self.entered.len()) {
                    // Of a span entered several times the last entry is left.
                    let (index, id) = self.entered[at].clone();
                    dispatch.exit(&id);
                    let last = self.entered.iter().rposition(|(i, _)| *i == index);
                    self.entered.remove(last.unwrap());
                }
            }
            Step::Record(which, value) => {
                if let Some(at) = chosen(which) {
                    self.handles[at].1.record("value", value);
                    self.expected[self.handles[at].0].value = value;
                }
            }
            Step::Clone(which) => {
                self.handles
                    .extend(chosen(which).map(|at| self.handles[at].clone()));
            }
            Step::Drop(which) => {
                // A span that is entered keeps its last handle, as a guard would see to.
                if let Some(at) = chosen(which) {
                    let index = self.handles[at].0;
                    let others = self.handles.iter().filter(|(i, _)| *i == index).count() > 1;
                    if others || self.entered.iter().all(|(i, _)| *i != index) {
                        self.handles.swap_remove(at);
                    }
                }
            }
            Step::Log => {
                info!("modelled");
                self.logged_in.push(self.current());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_spans_comes_out_as_the_model_says(
        steps in proptest::collection::vec(step(), 0..300)
    ) {
        let mut model = Model::default();
        let got = Recording::new().records(|recording| {
            for step in &steps {
                model.step(&recording.dispatch, step);
            }
            for (_, id) in model.entered.drain(..).rev() {
                recording.dispatch.exit(&id);
            }
            model.handles.clear();
        });
        prop_assert_eq!(got.spans.len(), model.expected.len());
        prop_assert_eq!(got.logs.len(), model.logged_in.len());
        let number = |span: &RecordedSpan, field: &str| match span.field(field) {
            Some(Got::Int(value)) => *value,
            other => panic!("{field}: {other:?}"),
        };
        let by_index: HashMap<usize, &RecordedSpan> = got
            .spans
            .iter()
            .map(|span| (number(span, "n") as usize, span))
            .collect();
        for (index, expected) in model.expected.iter().enumerate() {
            let span = by_index[&index];
            prop_assert_eq!(number(span, "value"), i128::from(expected.value));
            match expected.parent {
                Some(parent) => {
                    prop_assert_eq!(span.parent, by_index[&parent].id);
                    prop_assert_eq!(span.trace, by_index[&parent].trace);
                }
                None => prop_assert_eq!(span.parent, SpanId::INVALID),
            }
        }
        for (log, expected) in got.logs.iter().zip(&model.logged_in) {
            let span = expected.map_or(SpanId::INVALID, |index| by_index[&index].id);
            prop_assert_eq!(log.span, span);
        }
    }
}
