//! Published means.

use colearn_report::Reference;

use crate::made_up;

fn error(text: &str) -> String {
    Reference::parse(text, "paper.csv").unwrap_err().to_string()
}

#[test]
fn both_published_tables_match_the_grid_they_are_about() {
    let table = made_up::paper().table();
    let ids: Vec<_> = table.configurations.iter().map(|row| row.id).collect();
    for (text, without, unimodal) in [
        (made_up::REFERENCE, [".27", "1.81", ".40"], [".45", "1.50", ".47"]),
        (
            include_str!("../../../sweeps/reference/mosi-mfn.csv"),
            [".720", "1.058", ".314"],
            [".715", "1.074", ".313"],
        ),
    ] {
        let matched = Reference::parse(text, "paper.csv").unwrap().beside(&table);
        assert_eq!(matched.warnings, Vec::<String>::new());
        assert_eq!(matched.rows.len(), 8);
        let written = |index: usize| matched.rows[&ids[index]].iter().map(|it| it.written.as_str());
        assert!(written(0).eq(without), "{matched:?}");
        assert!(written(7).eq(unimodal), "{matched:?}");
        assert_eq!(matched.rows[&ids[0]][2].metric, "f_score_authors");
    }
}

#[test]
fn what_does_not_match_is_named() {
    let table = made_up::paper().table();
    let text = "modality_dropout.audio,unimodal,accuracy,recall\n0.5,false,.4,.1\n,false,.4,\n0.9,FALSE,.4,\n0.90,,.5,\n";
    let matched = Reference::parse(text, "paper.csv").unwrap().beside(&table);
    assert_eq!(
        matched.warnings,
        [
            "line 2 of the reference (modality_dropout.audio=0.5 unimodal=false) matches no configuration of this sweep, so it is not shown",
            "line 3 of the reference (unimodal=false) matches 7 configurations of this sweep, so it is not shown",
            "line 5 of the reference (modality_dropout.audio=0.90) is about the same configuration as an earlier line, and replaces it",
            "no result has the metrics recall of the reference (results have accuracy, loss, f_score, f_score_authors)",
        ]
    );
    assert_eq!(matched.rows.len(), 1);
    assert_eq!(matched.rows[&table.configurations[5].id][0].mean, 0.5);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    assert!(error("accuracy,loss\n1,2\n").contains("no column for a setting"));
    assert!(error("unimodal\ntrue\n").contains("no column for a metric"));
    let message = error("# a comment\nunimodal,loss\ntrue,1.5\nfalse,?\n");
    assert!(message.contains("`?` in line 4, column `loss`"), "{message}");
    assert!(error("unimodal,loss\ntrue,nan\n").contains("`nan` in line 2"));
    assert!(error("unimodal,loss\ntrue\n").contains("not readable as CSV"));
}
