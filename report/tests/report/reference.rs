//! Tests of published means.

use colearn_report::Reference;

use crate::{Written, made_up};

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
        let matched = Reference::parse(text, "paper.csv").unwrap().beside(&table).unwrap();
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
    let matched = Reference::parse(text, "paper.csv").unwrap().beside(&table).unwrap();
    assert_eq!(
        matched.warnings,
        [
            "line 2 of the reference (modality_dropout.audio=0.5 unimodal=false) matches no configuration of this sweep, so it is not shown",
            "line 3 of the reference (unimodal=false) matches 7 configurations of this sweep, so it is not shown",
            "line 5 of the reference (modality_dropout.audio=0.90) is about the same configuration as an earlier line, and replaces it",
            "the reference has no row for 7 of the 8 configurations of this sweep: audio=0.0 video=0.0; audio=0.15 video=0.15; audio=0.4 video=0.4; audio=0.6 video=0.6; audio=0.8 video=0.8; audio=0.95 video=0.95; unimodal",
            "no result has the metrics recall of the reference (results have accuracy, loss, f_score, f_score_authors, valid/accuracy, valid/loss)",
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
    let message = error("unimodal,loss\ntrue,1.5\ntrue\n");
    assert!(message.contains("not readable as CSV") && message.contains("line: 3"), "{message}");
    let message = error("modality_dropot.audio,unimodal,loss\n0,false,1.5\n");
    assert!(message.contains("`modality_dropot.audio`, which is no setting"), "{message}");
    assert!(error("unimodal,loss,loss\ntrue,1,2\n").contains("`loss`, which stands there twice"));
    assert!(error("unimodal,,loss\ntrue,1,2\n").contains("an empty name"));
    assert!(error("").contains("no column for a setting"));
}

#[test]
fn a_file_from_a_spreadsheet_is_read() {
    let text = "\u{feff}unimodal,accuracy\r\nTRUE,.4\r\n";
    let matched = Reference::parse(text, "paper.csv").unwrap().beside(&made_up::paper().table()).unwrap();
    assert_eq!(matched.rows.len(), 1, "{matched:?}");
}

#[test]
fn the_reference_of_another_sweep_is_refused_naming_both_sides() {
    let mut material = made_up::paper();
    for (text, rows) in [
        (
            "modality_dropout.skeleton,unimodal,accuracy\n0.5,false,.4\n0.7,false,.4\n",
            "the rows are about modality_dropout.skeleton=0.5 unimodal=false; modality_dropout.skeleton=0.7 unimodal=false",
        ),
        ("unimodal,accuracy\n", "the rows are about nothing"),
        ("unimodal,accuracy\n,.4\n", "the rows are about no settings"),
    ] {
        let reference = Reference::parse(text, "other.csv").unwrap();
        let message = reference.beside(&material.table()).unwrap_err().to_string();
        assert!(message.starts_with("no row of the reference `other.csv` is about"), "{message}");
        assert!(message.contains(rows), "{message}");
        assert!(message.contains("sweep iemocap-bi-eflstm"), "{message}");
        assert!(message.contains("the configurations are audio=0.0 video=0.0; audio=0.15"), "{message}");
        material.reference = Some(reference);
        let folder = tempfile::tempdir().unwrap();
        let error = colearn_report::write(&material, &material.table(), folder.path()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
    }
}

#[test]
fn the_other_published_table_stands_beside_a_regression() {
    let mut material = made_up::regression();
    let text = include_str!("../../../sweeps/reference/mosi-mfn.csv");
    material.reference = Some(Reference::parse(text, "mosi-mfn.csv").unwrap());
    let report = Written::new(&material);
    assert!(report.page().contains("<th>loss published</th>"));
    let loss = report.file("plots/loss.svg");
    assert_eq!(loss.matches("published: ").count(), 7);
    assert!(loss.contains(">published</text>") && loss.contains(">published baseline</text>"), "{loss}");
    // The published means are for language alone.
    assert!(!report.file("plots/loss-language-audio-video.svg").contains("published"));
}
