//! The role that each method needs.

use colearn_access::Need;

/// All methods of all services, by the path of their requests.
const METHODS: [(&str, Need); 30] = [
    ("/colearn.v1.SweepService/SubmitSweep", Need::Operate),
    ("/colearn.v1.SweepService/ListSweeps", Need::Look),
    ("/colearn.v1.SweepService/GetSweep", Need::Look),
    ("/colearn.v1.SweepService/WatchSweep", Need::Look),
    ("/colearn.v1.SweepService/GetResults", Need::Look),
    ("/colearn.v1.SweepService/CancelSweep", Need::Operate),
    ("/colearn.v1.SweepService/CancelTasks", Need::Operate),
    ("/colearn.v1.SweepService/RetrySweep", Need::Operate),
    ("/colearn.v1.SweepService/ExtendSweep", Need::Operate),
    ("/colearn.v1.SweepService/PauseSweep", Need::Operate),
    ("/colearn.v1.SweepService/PrioritizeSweep", Need::Operate),
    ("/colearn.v1.SweepService/ReplaceData", Need::Operate),
    ("/colearn.v1.SweepService/RemoveSweep", Need::Operate),
    ("/colearn.v1.SweepService/FindConfiguration", Need::Look),
    ("/colearn.v1.SweepService/ListTasks", Need::Look),
    ("/colearn.v1.SweepService/GetGrid", Need::Look),
    ("/colearn.v1.SweepService/GetRunningCurves", Need::Look),
    ("/colearn.v1.SweepService/ListWorkers", Need::Look),
    ("/colearn.v1.SweepService/DrainWorker", Need::Operate),
    ("/colearn.v1.SweepService/UndrainWorker", Need::Operate),
    ("/colearn.v1.SweepService/GetLog", Need::Look),
    ("/colearn.v1.PoolService/CreatePool", Need::Operate),
    ("/colearn.v1.PoolService/ListPools", Need::Look),
    ("/colearn.v1.PoolService/PausePool", Need::Operate),
    ("/colearn.v1.PoolService/RemovePool", Need::Operate),
    ("/colearn.v1.PoolService/GetPoolLog", Need::Look),
    ("/colearn.v1.WorkerService/Work", Need::Work),
    ("/grpc.health.v1.Health/Check", Need::Any),
    ("/grpc.health.v1.Health/Watch", Need::Any),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::Look),
];

/// The first part of the paths of all services' methods.
const SERVICES: [&str; 2] = ["/colearn.", "/grpc."];

/// The role that a method needs; `None` for a method that does not exist.
///
/// Everything else is HTTP, for which it is enough to look: what changes something there calls a method, and passes
/// the seam once more.
pub(super) fn need_of(path: &str) -> Option<Need> {
    if !is_of_service(path) {
        return Some(Need::Look);
    }
    METHODS.iter().find(|(method, _)| *method == path).map(|(_, need)| *need)
}

/// Whether a path is one of gRPC.
pub(super) fn is_of_service(path: &str) -> bool {
    SERVICES.iter().any(|service| path.starts_with(service))
}

/// A method as metrics name it: `colearn.v1.SweepService/GetSweep`. What does not exist has one name, so that strangers
/// cannot make many.
pub(crate) fn label_of(path: &str) -> &'static str {
    let known = METHODS.iter().find(|(method, _)| *method == path);
    known.map_or("unknown", |(method, _)| method.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_method_is_listed_and_no_other() {
        let sets = [
            colearn_proto::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        ];
        let files = sets.iter().flat_map(|set| FileDescriptorSet::decode(*set).unwrap().file);
        let mut served = BTreeSet::new();
        for file in files {
            for service in &file.service {
                for method in &service.method {
                    served.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        let listed: BTreeSet<String> = METHODS.iter().map(|(method, _)| (*method).to_owned()).collect();
        assert_eq!(listed.len(), METHODS.len());
        assert_eq!(listed, served);
    }

    #[test]
    fn what_changes_something_needs_the_right_to() {
        for (method, need) in METHODS {
            let (_, name) = method.rsplit_once('/').unwrap();
            let looks = ["List", "Get", "Watch", "Find", "Check", "ServerReflectionInfo"];
            let looks = looks.iter().any(|verb| name.starts_with(verb));
            assert_eq!(looks, matches!(need, Need::Look | Need::Any), "{method}");
        }
        assert_eq!(need_of("/colearn.v1.SweepService/Nothing"), None);
        assert_eq!(need_of("/api/v1/sweeps"), Some(Need::Look));
        assert!(METHODS.iter().all(|(method, _)| SERVICES.iter().any(|service| method.starts_with(service))));
    }
}
