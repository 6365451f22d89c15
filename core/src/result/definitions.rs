//! The definitions of the networks' metrics: `colearn settings`, the page and docs/metrics.md say the same.

use std::fmt::Write as _;

use super::metric;

/// The definition of one metric, for one kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name in results.
    pub name: &'static str,
    /// The meaning in a few words.
    pub meaning: &'static str,
    /// The formula. Of a classification `n` is the number of samples, `TP` that of a class's samples that are
    /// classified correctly, `support` the number of its samples, `predicted` how often it is predicted.
    pub formula: &'static str,
    /// The call of scikit-learn, or of SciPy, that gives the same: truth `y`, prediction `p`.
    pub call: &'static str,
}

const fn row(
    name: &'static str,
    meaning: &'static str,
    formula: &'static str,
    call: &'static str,
) -> Definition {
    Definition { name, meaning, formula, call }
}

/// The F1 of each class. It has no name in `report.metrics`: it is computed from the confusion matrix, which every
/// result of a classification has.
pub const CLASS_F1: Definition = row(
    "F1 of a class",
    "how well one class is found; on the page and in classes.csv, from the confusion matrix",
    "F1 = 2 TP / (support + predicted), 0 if the class neither occurs nor is predicted",
    "f1_score(y, p, average=None, labels=range(classes), zero_division=0)",
);

/// Of a classification, in the order of [`metric::CLASSIFICATION`].
const CLASSIFICATION: [Definition; 6] = [
    row(metric::ACCURACY, "share of samples classified correctly", "sum of TP / n", "accuracy_score(y, p)"),
    row(
        metric::LOSS,
        "cross entropy in nats",
        "mean of -ln softmax(outputs)[y]",
        "log_loss(y, softmax(outputs), labels=range(classes))",
    ),
    row(
        metric::F_SCORE,
        "F1 of the classes, weighted by their true support",
        "sum of support F1 / n",
        "f1_score(y, p, average=\"weighted\", zero_division=0)",
    ),
    row(
        metric::F_SCORE_AUTHORS,
        "F1 of the classes, weighted by how often each is predicted: arguments swapped, as in the paper's code",
        "sum of predicted F1 / n",
        "f1_score(p, y, average=\"weighted\", zero_division=0)",
    ),
    row(
        metric::F_SCORE_MACRO,
        "plain mean of the F1 of the classes that occur or are predicted",
        "mean of F1 over classes with support + predicted > 0",
        "f1_score(y, p, average=\"macro\", zero_division=0)",
    ),
    row(
        metric::BALANCED_ACCURACY,
        "unweighted average recall (UAR): mean recall of the classes that occur",
        "mean of TP / support over classes with support > 0",
        "balanced_accuracy_score(y, p)",
    ),
];

/// Of a regression, in the order of [`metric::REGRESSION`].
const REGRESSION: [Definition; 12] = [
    row(
        metric::ACCURACY,
        "share of equal sign, where zero counts as positive",
        "mean of [(y >= 0) = (p >= 0)]",
        "accuracy_score(y >= 0, p >= 0)",
    ),
    row(metric::LOSS, "mean absolute error", "mean of |y - p|", "mean_absolute_error(y, p)"),
    row(
        metric::F_SCORE,
        "F1 of the integers that truth and prediction round to, weighted by their true support",
        "sum of support F1 / n, with y and p rounded half to even",
        "f1_score(rint(y), rint(p), average=\"weighted\", zero_division=0)",
    ),
    row(
        metric::F_SCORE_AUTHORS,
        "the same, weighted by how often each integer is predicted: arguments swapped, as in the paper's code",
        "sum of predicted F1 / n, with y and p rounded half to even",
        "f1_score(rint(p), rint(y), average=\"weighted\", zero_division=0)",
    ),
    row(
        metric::MAE,
        "mean absolute error, in double precision",
        "mean of |y - p|",
        "mean_absolute_error(y, p)",
    ),
    row(
        metric::ACCURACY_7,
        "accuracy over the seven integers from -3 to 3 (MMSA: Mult_acc_7)",
        "mean of [c(y) = c(p)], where c clips to [-3, 3], then rounds half to even",
        "accuracy_score(rint(clip(y, -3, 3)), rint(clip(p, -3, 3)))",
    ),
    row(
        metric::PEARSON_R,
        "Pearson's correlation, 0 if truth or prediction is constant",
        "cov(y, p) / (sd(y) sd(p))",
        "scipy.stats.pearsonr(y, p).statistic",
    ),
    row(
        metric::ACCURACY_5,
        "accuracy over the five integers from -2 to 2 (MMSA: Mult_acc_5)",
        "mean of [c(y) = c(p)], where c clips to [-2, 2], then rounds half to even",
        "accuracy_score(rint(clip(y, -2, 2)), rint(clip(p, -2, 2)))",
    ),
    row(
        metric::ACCURACY_2_NONNEGATIVE,
        "negative against non-negative, all samples (MMSA: Has0_acc_2), the same number as accuracy",
        "mean of [(y >= 0) = (p >= 0)]",
        "accuracy_score(y >= 0, p >= 0)",
    ),
    row(
        metric::F_SCORE_2_NONNEGATIVE,
        "F1 of negative and non-negative, weighted by their true support (MMSA: Has0_F1_score)",
        "sum of support F1 / n, over the classes y >= 0 and y < 0",
        "f1_score(y >= 0, p >= 0, average=\"weighted\", zero_division=0)",
    ),
    row(
        metric::ACCURACY_2_POSITIVE,
        "negative against positive, without samples whose label is 0 (MMSA: Non0_acc_2)",
        "mean of [(y > 0) = (p > 0)] over y != 0",
        "accuracy_score(y[y != 0] > 0, p[y != 0] > 0)",
    ),
    row(
        metric::F_SCORE_2_POSITIVE,
        "F1 of negative and positive, weighted by their true support, without labels of 0 (MMSA: Non0_F1_score)",
        "sum of support F1 / n, over the classes y > 0 and y < 0",
        "f1_score(y[y != 0] > 0, p[y != 0] > 0, average=\"weighted\", zero_division=0)",
    ),
];

/// The definitions of a kind of task, in the order of display.
#[must_use]
pub fn definitions(regression: bool) -> &'static [Definition] {
    if regression { &REGRESSION } else { &CLASSIFICATION }
}

/// The definition of a network's metric, whatever split and modalities its name is about.
#[must_use]
pub fn definition(name: &str, regression: bool) -> Option<&'static Definition> {
    let (plain, _) = metric::split(name);
    let bare = metric::of_validation(plain).unwrap_or(plain);
    definitions(regression).iter().find(|definition| definition.name == bare)
}

/// All definitions as text for people.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    let widest = REGRESSION.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let mut list = |title: &str, rows: &mut dyn Iterator<Item = &Definition>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}");
        for Definition { name, meaning, formula, call } in rows {
            let _ = writeln!(text, "{name:widest$}  {meaning}; {formula}; {call}");
        }
    };
    list("Of a classification:", &mut CLASSIFICATION.iter().chain([&CLASS_F1]));
    list("Of a regression:", &mut REGRESSION.iter());
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_metric_is_defined_in_the_order_of_display() {
        let names = |regression| definitions(regression).iter().map(|it| it.name).collect::<Vec<_>>();
        assert_eq!(names(false), metric::CLASSIFICATION);
        assert_eq!(names(true), metric::REGRESSION);
        assert_eq!(definition("valid/loss@a+b", true).unwrap().meaning, "mean absolute error");
        assert_eq!(definition("bleu", false), None);
        for name in metric::ALL {
            assert!(definition(name, true).or_else(|| definition(name, false)).is_some(), "{name}");
        }
    }

    /// docs/metrics.md contains each definition.
    #[test]
    fn the_documentation_has_every_definition() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let page = String::from_utf8(fs::read(path).expect("the page ships")).expect("the page is UTF-8");
        for Definition { name, meaning, formula, call } in
            CLASSIFICATION.iter().chain([&CLASS_F1]).chain(&REGRESSION)
        {
            let cells = [meaning, formula, call].map(|it| it.replace('|', "\\|"));
            let row = format!("| `{name}` | {} | {} | `{}` |", cells[0], cells[1], cells[2]);
            assert!(page.contains(&row), "put this into docs/metrics.md:\n{row}");
        }
    }
}
