//! `tepui backup` and `tepui restore`: the app manager's state as a file, while none is running.
//! Knows nothing of what is in it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use tepui_actors::election::ZkUrl;
use tepui_actors::marathon::config::StatePlace;
use tepui_actors::marathon::process::maintain;

use super::Failure;

/// As `tepui-marathon` asks of ZooKeeper.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the state is, and the file.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The tar archive; compressed when its name ends in .gz or .tgz
    file: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
struct PlaceArgs {
    /// Directory that tepui-marathon was given as --work_dir
    #[arg(long, alias = "work_dir")]
    work_dir: Option<PathBuf>,
    /// ZooKeeper that tepui-marathon was given as --zk: zk://host:port,.../path
    #[arg(long)]
    zk: Option<ZkUrl>,
}

impl PlaceArgs {
    fn place(self) -> StatePlace {
        match (self.work_dir, self.zk) {
            (Some(dir), _) => StatePlace::File(dir),
            (None, Some(url)) => StatePlace::ZooKeeper {
                url,
                session_timeout: SESSION_TIMEOUT,
            },
            // The parser asks for one of them.
            (None, None) => StatePlace::Memory,
        }
    }
}

/// Writes the state into a file.
pub async fn backup(args: Args) -> Result<u8, Failure> {
    maintain(&args.place.place(), Some(args.file), None).await?;
    Ok(0)
}

/// Replaces the state by that of a file.
pub async fn restore(args: Args) -> Result<u8, Failure> {
    maintain(&args.place.place(), None, Some(args.file)).await?;
    Ok(0)
}
