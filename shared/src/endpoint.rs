//! Finds the socket, the data folder and the config file. The daemon and its clients share one rule.
//!
//! A command line flag wins over the environment, which wins over the folders of the platform. An empty variable counts as unset; relative
//! paths are resolved against the current folder.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};
use interprocess::local_socket::{GenericFilePath, Name, ToFsName as _};

/// Environment variable that names the socket.
pub const SOCKET_VARIABLE: &str = "SCENED_SOCKET";
/// Environment variable that names the data folder.
pub const DATA_DIR_VARIABLE: &str = "SCENED_DATA_DIR";
/// Environment variable that names the config file.
pub const CONFIG_VARIABLE: &str = "SCENED_CONFIG";

/// Longest socket path in bytes: the kernel's `sun_path`, less its final NUL.
pub const MAX_SOCKET_PATH_BYTES: usize = if cfg!(any(target_os = "linux", target_os = "android")) {
    107
} else {
    103
};

/// Why a path could not be determined.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The system takes no path of this length.
    #[error("the socket path {} has {length} bytes; the system allows {MAX_SOCKET_PATH_BYTES}", path.display())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        length: usize,
    },
    /// The path contains a NUL byte, which no system allows.
    #[error("the socket path {} contains a NUL byte", path.display())]
    SocketPathNul {
        /// The path.
        path: PathBuf,
    },
    /// Neither the environment nor the system names a home folder.
    #[error("no home folder was found for this user")]
    NoHome,
    /// The path is relative and the current folder is not known.
    #[error("cannot make {} absolute", path.display())]
    NotAbsolute {
        /// The path, as it was given.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl EndpointError {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::SocketPathTooLong { .. } | Self::SocketPathNul { .. } => {
                "give a shorter one to both sides: --socket PATH, or the variable SCENED_SOCKET"
            }
            Self::NoHome => "set HOME, or give --data-dir, --config and --socket",
            Self::NotAbsolute { .. } => "give an absolute path",
        }
    }
}

/// The inputs that decide the paths, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// [`SOCKET_VARIABLE`].
    pub socket: Option<PathBuf>,
    /// [`DATA_DIR_VARIABLE`].
    pub data_dir: Option<PathBuf>,
    /// [`CONFIG_VARIABLE`].
    pub config: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`, if the platform has one.
    pub runtime_dir: Option<PathBuf>,
    /// The platform's data folder of `scened`.
    pub platform_data_dir: Option<PathBuf>,
    /// The platform's config folder of `scened`.
    pub platform_config_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads the variables and folders of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|v: &OsString| !v.is_empty()).map(PathBuf::from);
        let project = ProjectDirs::from("", "", "scened");
        Self {
            socket: variable(SOCKET_VARIABLE),
            data_dir: variable(DATA_DIR_VARIABLE),
            config: variable(CONFIG_VARIABLE),
            runtime_dir: BaseDirs::new().and_then(|dirs| dirs.runtime_dir().map(Path::to_path_buf)),
            platform_data_dir: project.as_ref().map(|dirs| dirs.data_dir().to_path_buf()),
            platform_config_dir: project.as_ref().map(|dirs| dirs.config_dir().to_path_buf()),
        }
    }

    /// Finds the data folder; `flag` is `--data-dir`.
    pub fn data_dir(&self, flag: Option<&Path>) -> Result<PathBuf, EndpointError> {
        let given = flag.or(self.data_dir.as_deref());
        absolute(given.or(self.platform_data_dir.as_deref()).ok_or(EndpointError::NoHome)?)
    }

    /// Finds the config file; `flag` is `--config`.
    pub fn config_file(&self, flag: Option<&Path>) -> Result<PathBuf, EndpointError> {
        match flag.or(self.config.as_deref()) {
            Some(given) => absolute(given),
            None => absolute(
                &self
                    .platform_config_dir
                    .as_deref()
                    .ok_or(EndpointError::NoHome)?
                    .join("config.toml"),
            ),
        }
    }

    /// Finds the socket; `socket` is `--socket`. `data_dir` is `--data-dir`, which only matters if there is no runtime folder.
    pub fn endpoint(&self, socket: Option<&Path>, data_dir: Option<&Path>) -> Result<Endpoint, EndpointError> {
        if let Some(given) = socket.or(self.socket.as_deref()) {
            return Endpoint::new(given);
        }
        if cfg!(windows) {
            return Endpoint::new(Path::new(r"\\.\pipe\scened"));
        }
        match &self.runtime_dir {
            Some(folder) => Endpoint::new(&folder.join("scened").join("scened.sock")),
            None => Endpoint::new(&self.data_dir(data_dir)?.join("scened.sock")),
        }
    }
}

/// Finds the data folder of this process; `flag` is `--data-dir`.
pub fn data_dir(flag: Option<&Path>) -> Result<PathBuf, EndpointError> {
    Environment::of_process().data_dir(flag)
}

/// Finds the config file of this process; `flag` is `--config`.
pub fn config_file(flag: Option<&Path>) -> Result<PathBuf, EndpointError> {
    Environment::of_process().config_file(flag)
}

fn absolute(path: &Path) -> Result<PathBuf, EndpointError> {
    std::path::absolute(path).map_err(|source| EndpointError::NotAbsolute {
        path: path.to_path_buf(),
        source,
    })
}

/// The daemon's socket: an absolute path short enough for the kernel (a pipe's name on Windows).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    path: PathBuf,
}

impl Endpoint {
    /// Takes the path of a socket and makes it absolute.
    pub fn new(path: &Path) -> Result<Self, EndpointError> {
        let path = absolute(path)?;
        let bytes = path.as_os_str().as_encoded_bytes();
        if cfg!(unix) && bytes.len() > MAX_SOCKET_PATH_BYTES {
            let length = bytes.len();
            return Err(EndpointError::SocketPathTooLong { path, length });
        }
        if bytes.contains(&0) {
            return Err(EndpointError::SocketPathNul { path });
        }
        Ok(Self { path })
    }

    /// Finds the socket of this process; `socket` is `--socket`, `data_dir` is `--data-dir`.
    pub fn resolve(socket: Option<&Path>, data_dir: Option<&Path>) -> Result<Self, EndpointError> {
        Environment::of_process().endpoint(socket, data_dir)
    }

    /// Returns the path, which is absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder that protects the socket: mode 0700 and owned by this user.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Returns the name for `interprocess`: always a path, never the abstract namespace, which has no permissions.
    pub fn name(&self) -> io::Result<Name<'_>> {
        self.path.as_path().to_fs_name::<GenericFilePath>()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            platform_data_dir: Some("/home/u/.local/share/scened".into()),
            platform_config_dir: Some("/home/u/.config/scened".into()),
            runtime_dir: Some("/run/user/1".into()),
            ..Environment::default()
        }
    }

    #[test]
    fn flags_win_over_variables_win_over_the_platform() {
        let plain = environment();
        let set = Environment {
            socket: Some("/e/s".into()),
            data_dir: Some("/e/d".into()),
            config: Some("/e/c.toml".into()),
            ..environment()
        };
        let no_runtime = Environment {
            runtime_dir: None,
            ..environment()
        };
        let flag = Some(Path::new("/f/x"));
        let socket = |e: &Environment, s, d| e.endpoint(s, d).unwrap().path().to_path_buf();

        assert_eq!(socket(&set, flag, None), Path::new("/f/x"));
        assert_eq!(socket(&set, None, flag), Path::new("/e/s"));
        assert_eq!(socket(&plain, None, flag), Path::new("/run/user/1/scened/scened.sock"));
        assert_eq!(socket(&no_runtime, None, flag), Path::new("/f/x/scened.sock"));
        assert_eq!(
            socket(&no_runtime, None, None),
            Path::new("/home/u/.local/share/scened/scened.sock")
        );

        assert_eq!(set.data_dir(flag).unwrap(), Path::new("/f/x"));
        assert_eq!(set.data_dir(None).unwrap(), Path::new("/e/d"));
        assert_eq!(plain.data_dir(None).unwrap(), Path::new("/home/u/.local/share/scened"));

        assert_eq!(set.config_file(flag).unwrap(), Path::new("/f/x"));
        assert_eq!(set.config_file(None).unwrap(), Path::new("/e/c.toml"));
        assert_eq!(plain.config_file(None).unwrap(), Path::new("/home/u/.config/scened/config.toml"));
        assert!(matches!(Environment::default().data_dir(None), Err(EndpointError::NoHome)));
    }

    #[test]
    fn the_socket_path_ends_where_the_kernel_says() {
        let path = |length: usize| PathBuf::from(format!("/{}", "s".repeat(length - 1)));
        assert!(Endpoint::new(&path(MAX_SOCKET_PATH_BYTES)).is_ok());
        let error = Endpoint::new(&path(MAX_SOCKET_PATH_BYTES + 1)).unwrap_err();
        assert!(error.to_string().contains("has 108 bytes; the system allows 107"), "{error}");
        assert!(error.hint().contains("SCENED_SOCKET"));
    }

    #[test]
    fn a_relative_socket_is_taken_from_the_current_folder() {
        let endpoint = Endpoint::new(Path::new("x.sock")).unwrap();
        assert_eq!(endpoint.folder(), std::env::current_dir().unwrap());
    }
}
