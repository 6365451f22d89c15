//! A Slurm of one node on loopback: munged, slurmctld and slurmd, started by the test in a folder of its own.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::lab::text;

const PROGRAMS: [&str; 6] = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel"];
const INSTALL: &str = "apt-get install --no-install-recommends munge slurmctld slurmd slurm-client (Slurm's daemons need not run)";
/// Number of processors of the node, also if the machine has less.
const CPUS: u32 = 6;

/// The daemons. They end with this value.
pub(super) struct Cluster {
    folder: TempDir,
    daemons: Vec<Child>,
}

/// A job as squeue shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) restarts: u32,
}

impl Cluster {
    /// Starts a cluster; `None`, with a message, where Slurm is not installed.
    pub(super) fn start() -> Option<Self> {
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| find(program).is_none()).collect();
        if !missing.is_empty() {
            eprintln!("SKIPPED: {} is missing; install it with: {INSTALL}", missing.join(", "));
            assert!(std::env::var_os("COLEARN_NEED_SLURM").is_none(), "Slurm is not installed: {INSTALL}");
            return None;
        }
        // munged refuses a socket in a folder that others can write.
        let folder = tempfile::Builder::new().prefix("slurm-").tempdir_in("/tmp").unwrap();
        let mut cluster = Self { folder, daemons: Vec::new() };
        cluster.write_settings();
        cluster.start_munge();
        cluster.daemon("slurmctld", &["-D", "-i"]);
        cluster.daemon("slurmd", &["-D", "-N", "node"]);
        cluster.wait("the node", || {
            let idle = cluster.try_command("sinfo", &["--noheader", "--format=%T"]);
            idle.is_some_and(|states| states.contains("idle"))
        });
        Some(cluster)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn conf(&self) -> PathBuf {
        self.path("slurm.conf")
    }

    fn write_settings(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        for folder in ["state", "spool"] {
            fs::create_dir(self.path(folder)).unwrap();
        }
        let folder = self.folder.path().display();
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Both are free now; nothing else on this machine takes them before the daemons do, except by a rare chance.
        let ports: Vec<u16> = {
            let held: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
        };
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
        let (controller, node) = (ports[0], ports[1]);
        // Without cgroups, which a container may not have. Credentials expire early because a job that is queued again
        // waits until then, two minutes by default.
        let settings = format!(
            "ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MpiDefault=none
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES State=UP PriorityTier=1 GraceTime=60 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL State=UP PriorityTier=2 PreemptMode=OFF
"
        );
        fs::write(self.conf(), settings).unwrap();
        fs::write(self.path("munge.key"), rand_bytes()).unwrap();
        fs::set_permissions(self.path("munge.key"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn start_munge(&mut self) {
        let option = |name: &str, file: &str| format!("--{name}={}", self.path(file).display());
        let options = [
            option("key-file", "munge.key"),
            option("socket", "munge.socket"),
            option("pid-file", "munge.pid"),
            option("log-file", "munge.log"),
            option("seed-file", "munge.seed"),
            "--foreground".to_owned(),
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.daemon("munged", &options);
        self.wait("munge", || self.path("munge.socket").exists());
    }

    fn daemon(&mut self, program: &str, arguments: &[&str]) {
        let log = fs::File::create(self.path(&format!("{program}.out"))).unwrap();
        let mut command = Command::new(find(program).unwrap());
        command.args(arguments).env("SLURM_CONF", self.conf()).stdin(Stdio::null());
        self.daemons.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    fn wait(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_there() {
            assert!(Instant::now() < deadline, "waited too long for {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_command(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).env("SLURM_CONF", self.conf()).output().unwrap();
        output.status.success().then(|| text(&output.stdout))
    }

    /// What one of Slurm's commands prints.
    pub(super) fn command(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env("SLURM_CONF", self.conf()).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}\n{}",
            text(&output.stderr),
            self.logs()
        );
        text(&output.stdout)
    }

    /// Submits a job; returns its id.
    pub(super) fn submit(&self, arguments: &[&str]) -> String {
        let output = "--output=/dev/null";
        self.command("sbatch", &[&["--parsable", output], arguments].concat()).trim().to_owned()
    }

    /// All jobs that Slurm remembers.
    pub(super) fn jobs(&self) -> Vec<Shown> {
        let format = "--Format=JobID:|,Name:|,State:|,RestartCnt:|";
        let printed = self.command("squeue", &["--states=all", "--noheader", format]);
        let job = |line: &str| {
            let [id, name, state, restarts] = line
                .split('|')
                .map(|field| field.trim().to_owned())
                .take(4)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            Shown { id, name, state, restarts: restarts.parse().unwrap() }
        };
        printed.lines().map(job).collect()
    }

    /// The jobs of a pool that have not ended.
    pub(super) fn live(&self, pool: &str) -> Vec<Shown> {
        let live: BTreeSet<&str> = ["PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED"].into();
        let prefix = format!("colearn-{pool}-");
        let mut jobs = self.jobs();
        jobs.retain(|job| job.name.starts_with(&prefix) && live.contains(job.state.as_str()));
        jobs
    }

    /// The logs of the daemons, for messages of failed assertions.
    pub(super) fn logs(&self) -> String {
        let files = ["munged.out", "slurmctld.out", "slurmd.out"];
        let log =
            |name: &str| format!("--- {name}\n{}", fs::read_to_string(self.path(name)).unwrap_or_default());
        files.map(log).join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The processes of jobs are descendants of slurmd and would outlive it.
        let _ = self.try_command("scancel", &["--quiet", "--full", "--signal=KILL", "--user", &whoami()]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline
            && self
                .try_command("squeue", &["--noheader", "--states=RUNNING,COMPLETING"])
                .is_some_and(|jobs| !jobs.is_empty())
        {
            let _ = self.try_command("scancel", &["--quiet", "--user", &whoami()]);
            std::thread::sleep(Duration::from_millis(100));
        }
        for daemon in self.daemons.iter_mut().rev() {
            let pid = nix::unistd::Pid::from_raw(daemon.id().try_into().unwrap());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(10);
            while matches!(daemon.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn whoami() -> String {
    nix::unistd::geteuid().to_string()
}

fn rand_bytes() -> Vec<u8> {
    use std::io::Read as _;
    let mut bytes = vec![0; 1024];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

/// A program on the PATH, or in the folders of system programs.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).collect::<Vec<_>>();
    let system = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(|folder| Path::new(folder).to_owned());
    folders.into_iter().chain(system).map(|folder| folder.join(program)).find(|file| file.is_file())
}
