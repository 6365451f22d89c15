//! Tests reports of generated results: every file, and unusual sweeps.

#![expect(clippy::unwrap_used, reason = "tests")]

mod again;
mod compare;
mod files;
mod large;
mod long;
mod made_up;
mod mixed_data;
mod odd_sweeps;
mod programs;
mod recompute;
mod reference;
mod regression;
mod replicates;
mod verdicts;

/// The table as comma-separated values.
fn csv(table: &colearn_core::table::ResultsTable) -> String {
    let mut bytes = Vec::new();
    colearn_report::text::csv(&mut bytes, table).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The folder of a report, read back.
struct Written(tempfile::TempDir);

impl Written {
    fn new(material: &colearn_report::Material) -> Self {
        let folder = tempfile::tempdir().unwrap();
        colearn_report::write(material, &material.table(), folder.path()).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The page, after checks that apply to every page.
    fn page(&self) -> String {
        let page = self.file("index.html");
        for forbidden in ["<script", "http://", "https://", "url(", "@import", "src=", "NaN", ">inf", "[inf"]
        {
            let plain = page.replace("http://www.w3.org/2000/svg", "");
            let found = plain.find(forbidden);
            assert_eq!(
                found,
                None,
                "`{forbidden}` in {:?}",
                found.map(|at| &plain[at.saturating_sub(60)..at + 20])
            );
        }
        // The target of every link exists.
        for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(self.0.path().join(link).is_file(), "{link}");
        }
        balanced(&page);
        page
    }

    fn plots(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path().join("plots")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        for name in &names {
            let svg = self.file(&format!("plots/{name}"));
            assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{name}");
            assert!(!svg.contains("NaN") && !svg.contains("inf\"") && !svg.contains("inf,"), "{name}");
            balanced(&svg);
        }
        names
    }
}

/// Asserts that every opened element is closed, in order.
fn balanced(document: &str) {
    const VOID: [&str; 3] = ["meta", "!doctype", "wbr"];
    let mut open: Vec<&str> = Vec::new();
    for tag in document.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap();
        let name = inside.split([' ', '/']).find(|word| !word.is_empty()).unwrap();
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "near {}", &tag[..tag.len().min(80)]);
        } else if !inside.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
