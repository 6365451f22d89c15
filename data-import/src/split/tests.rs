use super::*;

fn samples(count: usize) -> Samples {
    Samples {
        ids: (0..count).map(|index| format!("u{index}")).collect(),
        named_by: Some("ids.txt".to_owned()),
    }
}

fn counts(splits: &[Split]) -> [usize; 3] {
    Split::ALL.map(|split| splits.iter().filter(|it| **it == split).count())
}

fn members<'a>(samples: &'a Samples, splits: &[Split], split: Split) -> Vec<&'a str> {
    let mut names: Vec<&str> =
        samples.ids.iter().zip(splits).filter(|(_, it)| **it == split).map(|(id, _)| id.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn shares_depend_on_the_seed_and_the_names_alone() {
    let fractions = [0.75, 0.125, 0.125];
    let division = |seed| Division::Fractions { fractions, seed };
    let forty = samples(40);
    let splits = divide(&division(1), &forty, None).unwrap();
    // The same samples as `seeded_split` of datasets/ takes, which a test there pins as well.
    assert_eq!(members(&forty, &splits, Split::Test), ["u1", "u16", "u18", "u25", "u8"]);
    let mut reversed = forty.clone();
    reversed.ids.reverse();
    let other = divide(&division(1), &reversed, None).unwrap();
    assert_eq!(members(&reversed, &other, Split::Test), members(&forty, &splits, Split::Test));
    assert_ne!(divide(&division(2), &forty, None).unwrap(), splits);
    // The sizes of the paper's IEMOCAP.
    assert_eq!(counts(&divide(&division(0), &samples(6877), None).unwrap()), [5157, 860, 860]);
    let division = Division::Fractions { fractions: [0.7, 0.1, 0.2], seed: 0 };
    assert_eq!(counts(&divide(&division, &samples(120), None).unwrap()), [84, 12, 24]);
}

#[test]
fn groups_stay_together_and_no_split_is_empty() {
    for seed in 0..20 {
        let groups: Vec<String> = (0..100).map(|sample| format!("g{}", sample * sample % 11)).collect();
        for division in [
            Division::Fractions { fractions: [0.6, 0.2, 0.2], seed },
            Division::Folds { count: 3, fold: 1, seed },
        ] {
            let splits = divide(&division, &samples(100), Some(&groups)).unwrap();
            assert!(counts(&splits).iter().all(|count| *count > 0), "{splits:?}");
            let mut mistakes = Mistakes::default();
            check_division("--split", &splits, Some(("groups", &groups)), &mut mistakes);
            assert_eq!(mistakes.none(), Ok(()));
        }
    }
    // Where the sizes of groups allow it, the shares are kept.
    let pairs: Vec<String> = (0..200).map(|sample| format!("g{}", sample / 2)).collect();
    let division = Division::Fractions { fractions: [0.6, 0.1, 0.3], seed: 0 };
    assert_eq!(counts(&divide(&division, &samples(200), Some(&pairs)).unwrap()), [120, 20, 60]);
}

#[test]
fn every_sample_is_tested_in_one_fold_and_validated_in_the_one_before() {
    let ten = samples(10);
    let folds: Vec<Vec<Split>> = (0..4)
        .map(|fold| divide(&Division::Folds { count: 4, fold, seed: 5 }, &ten, None).unwrap())
        .collect();
    for sample in 0..10 {
        let splits: Vec<Split> = folds.iter().map(|splits| splits[sample]).collect();
        let stands = |split| (0..4).filter(|fold| splits[*fold] == split).collect::<Vec<usize>>();
        let (tested, validated) = (stands(Split::Test), stands(Split::Valid));
        assert_eq!((tested.len(), validated.len()), (1, 1));
        assert_eq!((validated[0] + 1) % 4, tested[0]);
    }
    assert!(folds.iter().all(|splits| (2..=3).contains(&counts(splits)[2])));
}

#[test]
fn divisions_that_can_not_be_are_refused() {
    let refused = |division: Division| divide(&division, &samples(4), None).unwrap_err().to_string();
    let shares = |fractions| Division::Fractions { fractions, seed: 0 };
    assert!(refused(shares([0.7, 0.2, 0.2])).contains("sum up to 1.1"));
    assert!(refused(shares([1.0, 0.0, 0.0])).contains("greater than 0"));
    assert!(refused(shares([f64::NAN, 0.5, 0.5])).contains("greater than 0"));
    assert!(refused(Division::Folds { count: 5, fold: 0, seed: 0 }).contains("there are only 4 samples"));
    assert!(refused(Division::Folds { count: 4, fold: 4, seed: 0 }).contains("0 to 3"));
    assert!(refused(Division::Folds { count: 2, fold: 0, seed: 0 }).contains("at least 3"));
}

#[test]
fn names_of_splits() {
    let read = |texts: &[&str]| {
        let values = Values::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
        named("split.csv", values, &samples(texts.len()))
    };
    let all = [Split::Train, Split::Valid, Split::Valid, Split::Valid, Split::Test];
    assert_eq!(read(&["Train", "valid", "val", "dev", "test"]).unwrap(), all);
    let error = read(&["train", "holdout", "", "holdout"]).unwrap_err().to_string();
    assert!(
        error.contains("3 samples in an unknown split: \"\", \"holdout\", the first at sample \"u1\" (1)"),
        "{error}"
    );
}

#[test]
fn empty_splits_and_torn_groups_are_reported() {
    let mut mistakes = Mistakes::default();
    let groups = ["a", "b", "a"].map(ToOwned::to_owned);
    let splits = [Split::Train, Split::Train, Split::Test];
    check_division("split.csv", &splits, Some(("meta.csv", &groups)), &mut mistakes);
    let error = mistakes.none().unwrap_err().to_string();
    assert!(error.contains("split.csv: the valid split is empty"), "{error}");
    assert!(error.contains("meta.csv: 1 group in more than one split: \"a (1 train, 1 test)\""), "{error}");
}

#[test]
fn samples_in_two_splits_are_warned_of() {
    let mut four = samples(4);
    four.ids[3] = "u0".to_owned();
    let splits = [Split::Train, Split::Train, Split::Valid, Split::Test];
    let digests = [[1; 32], [2; 32], [2; 32], [3; 32]];
    let warnings = leaks(&four, &splits, &digests);
    assert_eq!(
        warnings,
        [
            "1 sample in another split with the same id: sample \"u0\" (0) (train) and sample \"u0\" (3) (test)",
            "1 sample in another split with the same content, bit for bit: sample \"u1\" (1) (train) and sample \"u2\" (2) (valid)",
        ]
    );
    assert!(leaks(&samples(4), &splits, &[[1; 32], [1; 32], [2; 32], [3; 32]]).is_empty());
}
