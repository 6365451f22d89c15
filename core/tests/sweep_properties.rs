//! Properties of all sweep files.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::Path,
};

use colearn_core::{
    settings::{
        BiEflstmSettings, ModalityDraw, ModalityPart, ModelSettings, NetworkSettings, Shuffle,
        TrainingSettings,
    },
    sweep::{Parsed, Plan, Sweep},
};
use proptest::{
    collection::{btree_map, btree_set, vec},
    prelude::*,
    sample::{Index, select, subsequence},
};

const HEAD: &str = "name: x\ndataset: d\nprimary: language\nmax_tasks: 1000000\nseeds: [0]\n";

fn parse(text: &str) -> Parsed {
    Sweep::parse(text, "x.yaml").unwrap_or_else(|diagnostics| panic!("{diagnostics}\n\n{text}"))
}

/// A grid of integer parameters, with entries of `exclude` over them.
#[derive(Clone, Debug)]
struct Grid {
    axes: Vec<(&'static str, Vec<u32>)>,
    excludes: Vec<BTreeMap<&'static str, u32>>,
}

fn grids() -> impl Strategy<Value = Grid> {
    let paths = vec!["model.hidden", "model.layers", "training.epochs", "training.batch_size"];
    (subsequence(paths, 1..=4), any::<bool>())
        .prop_flat_map(|(mut paths, turned)| {
            if turned {
                paths.reverse();
            }
            let values = vec(btree_set(2..10_u32, 1..5), paths.len());
            let excludes = vec(btree_map(select(paths.clone()), 2..10_u32, 1..3), 0..4);
            (Just(paths), values, excludes)
        })
        .prop_map(|(paths, values, excludes)| Grid {
            axes: paths.into_iter().zip(values.into_iter().map(|set| set.into_iter().collect())).collect(),
            excludes,
        })
}

impl Grid {
    fn text(&self) -> String {
        let mut text = format!("{HEAD}parameters:\n");
        for (path, values) in &self.axes {
            text += &format!("  {path}: {values:?}\n");
        }
        text += "exclude:\n";
        for entry in &self.excludes {
            let pairs: Vec<_> = entry.iter().map(|(path, value)| format!("{path}: {value}")).collect();
            text += &format!("  - {{{}}}\n", pairs.join(", "));
        }
        if self.excludes.is_empty() {
            text += "  []\n";
        }
        text
    }

    /// The points in order, computed in the slow and obvious way.
    fn points(&self) -> Vec<BTreeMap<&'static str, u32>> {
        let mut points = vec![BTreeMap::new()];
        for (path, values) in &self.axes {
            points = points
                .into_iter()
                .flat_map(|point| {
                    values.iter().map(move |value| {
                        let mut point = point.clone();
                        point.insert(*path, *value);
                        point
                    })
                })
                .collect();
        }
        points.retain(|point| {
            !self
                .excludes
                .iter()
                .any(|entry| entry.iter().all(|(path, value)| point.get(path) == Some(value)))
        });
        points
    }
}

fn settings() -> impl Strategy<Value = NetworkSettings> {
    let numbers =
        prop_oneof![Just(0.0), Just(-0.0), Just(0.1), any::<f64>().prop_filter("finite", |x| x.is_finite())];
    (
        (any::<String>(), select(vec!["language", "audio"]), any::<bool>()),
        (any::<u32>(), any::<u32>(), numbers.clone()),
        (any::<u32>(), numbers.clone(), any::<bool>()),
        btree_map(select(vec!["language", "audio", "video"]), numbers, 0..3),
    )
        .prop_map(
            |((dataset, primary, unimodal), (hidden, layers, dropout), (epochs, rate, flag), dropouts)| {
                NetworkSettings {
                    dataset,
                    primary: primary.to_owned(),
                    unimodal,
                    model: ModelSettings::BiEflstm(BiEflstmSettings { hidden, layers, dropout }),
                    training: TrainingSettings {
                        epochs,
                        batch_size: hidden ^ epochs,
                        learning_rate: rate,
                        shuffle: if flag { Shuffle::Once } else { Shuffle::EveryEpoch },
                        drop_last: flag,
                        modality_draw: if flag { ModalityDraw::Shared } else { ModalityDraw::Independent },
                        modality_part: if flag { ModalityPart::Steps } else { ModalityPart::All },
                        modality_fraction: rate,
                        ..TrainingSettings::default()
                    },
                    modality_dropout: dropouts
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                    evaluate: if flag { vec![vec!["video".to_owned(), "audio".to_owned()]] } else { vec![] },
                }
            },
        )
}

/// The shipped sweep files, to be damaged.
fn shipped() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps");
    let files = fs::read_dir(folder).expect("the folder ships");
    let mut texts: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .map(|path| fs::read(path).expect("a file"))
        .map(|bytes| String::from_utf8(bytes).expect("text"))
        .collect();
    texts.push(
        "name: x\ndataset: d\nprimary: p\nparameters: {model.dropout: {min: 0.1, max: 0.9, count: 3, scale: log}}\n\
         exclude: [{model.dropout: 0.1}]\nretries: {max_backoff: 5m}\nseeds: {count: 3, base: 2}\n"
            .to_owned(),
    );
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_grid_is_the_product_without_the_excluded(grid in grids()) {
        let points = grid.points();
        let parsed = Sweep::parse(&grid.text(), "x.yaml");
        if points.is_empty() {
            prop_assert!(parsed.is_err());
            return Ok(());
        }
        let found: Vec<BTreeMap<String, u64>> = parsed
            .map_err(|diagnostics| TestCaseError::fail(diagnostics.to_string()))?
            .sweep
            .configurations
            .into_iter()
            .map(|c| c.values.iter().map(|(path, value)| (path.clone(), value.as_u64().unwrap_or(0))).collect())
            .collect();
        let expected: Vec<BTreeMap<String, u64>> = points
            .into_iter()
            .map(|point| point.into_iter().map(|(path, value)| (path.to_owned(), value.into())).collect())
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn configurations_are_distinct_and_always_the_same(grid in grids().prop_filter("a grid", |g| !g.points().is_empty())) {
        let text = grid.text();
        let parsed = parse(&text);
        let ids: HashSet<_> = parsed.sweep.configurations.iter().map(|c| c.id).collect();
        prop_assert_eq!(ids.len(), parsed.sweep.configurations.len());
        for configuration in &parsed.sweep.configurations {
            prop_assert_eq!(configuration.settings.configuration_id(), configuration.id);
            prop_assert_eq!(configuration.settings.cohort_key(), configuration.cohort_key);
        }
        prop_assert_eq!(&parse(&text).sweep, &parsed.sweep);
        let other_seeds = parse(&text.replace("seeds: [0]", "seeds: {count: 9, base: 77}")).sweep;
        prop_assert_eq!(other_seeds.configurations, parsed.sweep.configurations);
    }

    #[test]
    fn neither_the_order_of_keys_nor_of_parameters_changes_the_configurations(grid in grids().prop_filter("a grid", |g| !g.points().is_empty())) {
        let mut turned = grid.clone();
        turned.axes.reverse();
        let turned_text = turned.text();
        let ids = |text: &str| -> BTreeSet<_> { parse(text).sweep.configurations.iter().map(|c| c.id).collect() };
        prop_assert_eq!(ids(&grid.text()), ids(&turned_text));
        // `name` and the other required keys are last.
        let body = turned_text.strip_prefix(HEAD).unwrap_or_default();
        prop_assert_eq!(ids(&grid.text()), ids(&format!("{body}{HEAD}")));
    }

    #[test]
    fn a_float_is_the_same_however_it_is_spelt(value in 1e-12_f64..1.0) {
        let id = |spelling: String| parse(&format!("{HEAD}training: {{learning_rate: {spelling}}}")).sweep.configurations[0].id;
        let plain = id(format!("{value}"));
        prop_assert_eq!(id(format!("{value:e}")), plain);
        prop_assert_eq!(id(format!("{value:.40}")), plain);
        prop_assert_eq!(id(format!("{value:E}")), plain);
        // The next float gives another configuration.
        prop_assert_ne!(id(format!("{:e}", value.next_up())), plain);
    }

    #[test]
    fn identity_survives_json(settings in settings()) {
        let text = serde_json::to_string(&settings).unwrap();
        let read: NetworkSettings = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &settings);
        prop_assert_eq!(read.configuration_id(), settings.configuration_id());
        prop_assert_eq!(settings.clone().normalized().configuration_id(), settings.configuration_id());
        prop_assert_eq!(settings.clone().normalized().normalized(), settings.normalized());
    }

    #[test]
    fn different_settings_have_different_identifiers(a in settings(), b in settings()) {
        prop_assert_eq!(a.configuration_id() == b.configuration_id(), a.normalized() == b.normalized());
    }

    #[test]
    fn ranges_begin_and_end_exactly_and_grow(min in 1e-9_f64..1.0, length in 1e-3_f64..1e6, count in 2_usize..40, log in any::<bool>()) {
        let max = min + length;
        let scale = if log { "log" } else { "linear" };
        let text = format!("{HEAD}parameters: {{training.learning_rate: {{min: {min}, max: {max}, count: {count}, scale: {scale}}}}}");
        let values: Vec<f64> = parse(&text)
            .sweep
            .configurations
            .iter()
            .map(|c| c.values["training.learning_rate"].as_f64().unwrap_or(f64::NAN))
            .collect();
        prop_assert_eq!(values.len(), count);
        prop_assert_eq!((values[0], values[count - 1]), (min, max));
        prop_assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", values);
        let step = |pair: &[f64]| if log { pair[1] / pair[0] } else { pair[1] - pair[0] };
        let first = step(&values[..2]);
        prop_assert!(values.windows(2).all(|pair| (step(pair) / first - 1.0).abs() < 1e-6), "{:?}", values);
    }

    #[test]
    fn a_sweep_survives_json(grid in grids().prop_filter("a grid", |g| !g.points().is_empty())) {
        let sweep = parse(&grid.text()).sweep;
        let read: Sweep = serde_json::from_str(&serde_json::to_string(&sweep).unwrap()).unwrap();
        prop_assert_eq!(read, sweep);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        look_at(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_the_parser_panic(
        words in vec(select(vec![
            "name", "parameters", "model.hidden", "zip", "include", "exclude", "seeds", "report", "baseline", "min", "max",
            "count", ":", ": ", "\n", "\n  ", "- ", "[", "]", "{", "}", ",", ", ", "1", "-1", "1e999", ".nan", "~", "&a ",
            "*a", "'", "\"", "|", ">", "#", "ä", "\t", "\r\n", "\u{feff}", "---\n", "!!int ", "<<", "? ", "x",
        ]), 0..60),
    ) {
        look_at(&words.concat());
    }

    #[test]
    fn no_broken_sweep_makes_the_parser_panic(
        text in select(shipped()),
        breaks in vec((any::<Index>(), any::<Index>(), select(vec!["", "", ":", "[", "}", "\n", " ", "-", "9", "é", "'", "1e400", "\0"])), 1..4),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, length, new) in breaks {
            let at = at.index(characters.len());
            let end = (at + length.index(6)).min(characters.len());
            characters.splice(at..end, new.chars());
            if characters.is_empty() {
                break;
            }
        }
        look_at(&characters.into_iter().collect::<String>());
    }
}

/// Does everything that can be done with a text: parses it and shows the result.
fn look_at(text: &str) {
    match Sweep::parse(text, "x.yaml") {
        Ok(parsed) => {
            assert!(!parsed.sweep.configurations.is_empty() && !parsed.sweep.seeds.is_empty());
            let _ = Plan::of(&parsed, 3).to_string();
            let _ = parsed.warnings.iter().map(ToString::to_string).count();
        }
        Err(diagnostics) => {
            assert!(!diagnostics.all.is_empty());
            let _ = diagnostics.to_string();
        }
    }
}
