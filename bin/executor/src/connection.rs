//! One non-blocking connection to the agent: bytes out, responses in.
//! Gives no meaning to responses.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use crate::http::ResponseReader;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Stack in bytes of a thread that opens a socket.
const STACK_BYTES: usize = 64 * 1024;

/// A connection that is open or being opened.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    connecting: bool,
    unsent: Vec<u8>,
    /// What arrived.
    pub reader: ResponseReader,
}

impl Connection {
    /// Starts to open a connection; whether that works shows when it is used.
    ///
    /// # Errors
    /// When no connection can be attempted or it is refused at once.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let (stream, connecting) = open_stream(address, None)?;
        Ok(Connection {
            stream,
            connecting,
            unsent: Vec::new(),
            reader: ResponseReader::default(),
        })
    }

    /// Sends bytes, as far as possible at once.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        match self.connecting {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::POLLIN;
        if self.connecting || !self.unsent.is_empty() {
            flags |= PollFlags::POLLOUT;
        }
        flags
    }

    /// Does what the socket is ready for; false when the agent closed the connection.
    ///
    /// # Errors
    /// When the connection is broken or could not be opened.
    pub fn progress(&mut self) -> io::Result<bool> {
        if self.connecting {
            if !is_connected(&self.stream)? {
                return Ok(true);
            }
            self.connecting = false;
        }
        self.flush()?;
        let mut bytes = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(count) => self.reader.feed(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Starts to open a non-blocking connection, in another network if one is given; the flag tells
/// whether that still goes on.
///
/// # Errors
/// When no connection can be attempted or it is refused at once.
pub fn open_stream(address: SocketAddr, network: Option<&File>) -> io::Result<(TcpStream, bool)> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let open = || socket(family, SockType::Stream, flags, None);
    let fd: OwnedFd = match network {
        None => open()?,
        // A socket stays in the network it was opened in; a thread that goes there does nothing else.
        Some(network) => std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let opener = thread.spawn_scoped(scope, || {
                setns(network, CloneFlags::CLONE_NEWNET).and_then(|()| open())
            })?;
            let opened = opener.join().unwrap_or(Err(Errno::EIO));
            opened.map_err(io::Error::from)
        })?,
    };
    let connecting = match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => false,
        Err(Errno::EINPROGRESS) => true,
        Err(error) => return Err(error.into()),
    };
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    Ok((stream, connecting))
}

/// Whether a connection that was being opened is open now.
///
/// # Errors
/// When it could not be opened.
pub fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
