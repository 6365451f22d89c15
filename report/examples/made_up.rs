//! Writes reports of generated results, to look at: `cargo run -p colearn-report --example made_up -- FOLDER`.

use std::path::Path;

#[path = "../tests/report/made_up.rs"]
mod made_up;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "reports/made-up".to_owned());
    let folder = Path::new(&folder);
    let levels: Vec<String> = (0..1000).map(|index| (f64::from(index) / 1000.0).to_string()).collect();
    let plain = "name: NAME\ndataset: d\nprimary: language\n";
    let reports = [
        ("paper", made_up::paper()),
        ("regression", made_up::regression()),
        ("many-classes", made_up::many_classes()),
        (
            "words",
            made_up::material(
                &format!("{plain}parameters: {{training.shuffle: [once, every_epoch], training.modality_draw: [shared, independent]}}\nseeds: [0, 1]").replace("NAME", "words"),
                |index| 0.4 + 0.02 * index as f64,
            ),
        ),
        (
            "two-lines",
            made_up::material(
                &format!("{plain}parameters: {{training.learning_rate: [0.0001, 0.001, 0.01, 0.1], model.hidden: [16, 32, 64]}}\nreport: {{baseline: {{training.learning_rate: 0.001, model.hidden: 16}}}}").replace("NAME", "two-lines"),
                |index| 0.4 + 0.02 * (index / 3) as f64 + 0.015 * (index % 3) as f64,
            ),
        ),
        (
            "thousand",
            made_up::material(
                &format!("{plain}parameters: {{modality_dropout.audio: [{}]}}\nseeds: [0, 1, 2]", levels.join(", ")).replace("NAME", "thousand"),
                |index| 0.4 + 0.1 * (index as f64 / 200.0).sin(),
            ),
        ),
        ("one", made_up::material(&format!("{plain}seeds: [3]").replace("NAME", "one"), |_| 0.5)),
    ];
    for (name, material) in reports {
        let page = colearn_report::write(&material, &material.table(), &folder.join(name))
            .expect("a folder that can be written");
        println!("{}", page.display());
    }
}
