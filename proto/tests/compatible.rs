//! The messages of released versions keep their meaning: what was recorded of each is still there, with its number and
//! its type, or its number is reserved.

use std::{collections::BTreeMap, fs, path::Path};

use colearn_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// All messages, enumerations and services by their full names.
#[derive(Default)]
struct Names {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
    services: BTreeMap<String, ServiceDescriptorProto>,
}

impl Names {
    fn of(descriptors: &[u8]) -> Self {
        let mut names = Self::default();
        for file in FileDescriptorSet::decode(descriptors).expect("these are descriptors").file {
            let package = file.package().to_owned();
            for message in file.message_type {
                names.add(&package, message);
            }
            for value in file.enum_type {
                names.enums.insert(format!("{package}.{}", value.name()), value);
            }
            for service in file.service {
                names.services.insert(format!("{package}.{}", service.name()), service);
            }
        }
        names
    }

    fn add(&mut self, within: &str, message: DescriptorProto) {
        let name = format!("{within}.{}", message.name());
        for inner in message.nested_type.clone() {
            self.add(&name, inner);
        }
        for inner in message.enum_type.clone() {
            self.enums.insert(format!("{name}.{}", inner.name()), inner);
        }
        self.messages.insert(name, message);
    }
}

/// Everything in which the descriptors of today break those of an older version.
fn breaks(old: &Names, new: &Names) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, message) in &old.messages {
        let Some(today) = new.messages.get(name) else {
            broken.push(format!("message {name} is gone"));
            continue;
        };
        for field in &message.field {
            let number = field.number();
            let found = today.field.iter().find(|field| field.number() == number);
            let is_reserved =
                today.reserved_range.iter().any(|range| (range.start()..range.end()).contains(&number));
            match found {
                Some(found) if same_on_the_wire(field, found) => {}
                Some(found) => broken.push(format!(
                    "field {number} of {name} was `{}` and is `{}`, of another type or meaning",
                    field.name(),
                    found.name()
                )),
                None if is_reserved => {}
                None => broken.push(format!("field {number} of {name} is gone, and not reserved")),
            }
        }
    }
    for (name, values) in &old.enums {
        let today = new.enums.get(name).map(|today| today.value.as_slice()).unwrap_or_default();
        for value in &values.value {
            let same = |other: &&prost_types::EnumValueDescriptorProto| other.number() == value.number();
            if today.iter().find(same).is_none_or(|found| found.name() != value.name()) {
                broken.push(format!("{} of {name} is gone, or has another number", value.name()));
            }
        }
    }
    for (name, service) in &old.services {
        let today = new.services.get(name).map(|today| today.method.as_slice()).unwrap_or_default();
        for method in &service.method {
            if !today.contains(method) {
                broken.push(format!("method {} of {name} is gone, or has other messages", method.name()));
            }
        }
    }
    broken
}

fn same_on_the_wire(old: &FieldDescriptorProto, new: &FieldDescriptorProto) -> bool {
    let essence = |field: &FieldDescriptorProto| {
        (field.name().to_owned(), field.r#type(), field.label(), field.type_name().to_owned())
    };
    essence(old) == essence(new)
}

#[test]
fn no_message_of_a_released_version_changed_its_meaning() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coordinator/tests/recorded");
    let today = Names::of(DESCRIPTORS);
    let mut versions = 0;
    for version in fs::read_dir(recorded).expect("versions are recorded") {
        let folder = version.expect("it can be read").path();
        let old = Names::of(&fs::read(folder.join("descriptors.bin")).expect("it was recorded"));
        assert!(old.messages.len() > 50 && old.services.len() >= 2, "the descriptors are whole");
        let broken = breaks(&old, &today);
        assert!(broken.is_empty(), "since {}:\n{}", folder.display(), broken.join("\n"));
        versions += 1;
    }
    assert!(versions > 0);
}

#[test]
fn what_breaks_older_versions_is_found() {
    let old = Names::of(DESCRIPTORS);
    let changed = |change: &dyn Fn(&mut DescriptorProto)| {
        let mut new = Names::of(DESCRIPTORS);
        change(new.messages.get_mut("colearn.v1.Hello").expect("it is there"));
        breaks(&old, &new)
    };
    assert_eq!(changed(&|_| ()), Vec::<String>::new());
    let number = |number| move |field: &FieldDescriptorProto| field.number() != number;
    assert_eq!(changed(&|hello| hello.field.retain(number(2))).len(), 1, "removed");
    assert_eq!(
        changed(&|hello| hello.field[1].name = Some("other".to_owned())).len(),
        1,
        "used for something else"
    );
    assert_eq!(changed(&|hello| hello.field[1].set_type(Type::Bytes)).len(), 1, "of another type");
    assert_eq!(changed(&|hello| hello.field[1].set_label(Label::Repeated)).len(), 1, "of another number");
    let reserved = changed(&|hello| {
        hello.field.retain(number(2));
        let range = prost_types::descriptor_proto::ReservedRange { start: Some(2), end: Some(3) };
        hello.reserved_range.push(range);
    });
    assert_eq!(reserved, Vec::<String>::new());
    let mut fewer = Names::of(DESCRIPTORS);
    fewer.messages.remove("colearn.v1.Hello");
    fewer.services.values_mut().for_each(|service| service.method.truncate(1));
    assert!(breaks(&old, &fewer).len() > 2);
}
