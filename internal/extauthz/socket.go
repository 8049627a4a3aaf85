package extauthz

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Rules of the socket's path:
//
//   - It never points nowhere while somebody serves: a successor binds another name
//     in the same directory and renames it over the path.
//   - Who leaves removes the path only if it is still his own, told by its inode.
//     Compare and remove happen under a lock on the directory, which a renaming
//     successor takes as well.

// maxSocketPath is what fits sockaddr_un with its final NUL (unix(7)).
const maxSocketPath = 107

// socket is a listening Unix socket at a path.
type socket struct {
	*net.UnixListener
	path      string
	inode     inode
	closeOnce sync.Once
	closed    error
}

type inode struct{ device, number uint64 }

func listenSocket(path string, mode fs.FileMode) (_ *socket, err error) {
	wrap := func(err error) error { return fmt.Errorf("listening on socket %s: %w", path, err) }
	// The name to bind: short, as it has to fit as well, and hard to meet by chance.
	temporary := filepath.Join(filepath.Dir(path), "."+strconv.FormatUint(rand.Uint64(), 36))
	if n := max(len(path), len(temporary)); n > maxSocketPath {
		return nil, fmt.Errorf("socket path %s is too long: the kernel allows %d bytes, and with the temporary name beside it %d are needed", path, maxSocketPath, n)
	}
	if there, err := os.Lstat(path); err == nil && there.Mode()&fs.ModeSocket == 0 {
		return nil, wrap(errors.New("something that is not a socket is there"))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrap(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, wrap(err)
	}
	l.SetUnlinkOnClose(false)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close(), os.Remove(temporary))
		}
	}()
	if err := os.Chmod(temporary, mode.Perm()); err != nil {
		return nil, wrap(err)
	}
	own, err := inodeOf(temporary)
	if err != nil {
		return nil, wrap(err)
	}
	unlock, err := lockDirectory(path)
	if err != nil {
		return nil, wrap(err)
	}
	defer unlock()
	if err := os.Rename(temporary, path); err != nil {
		return nil, wrap(err)
	}
	return &socket{UnixListener: l, path: path, inode: own}, nil
}

// Addr is the path; the listener itself still goes by the name it was bound to.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// succeeded reports whether another process has put its socket at the path.
func (s *socket) succeeded() bool {
	there, err := inodeOf(s.path)
	return err == nil && there != s.inode
}

// Close stops accepting and removes the path if it is still this socket's.
func (s *socket) Close() error {
	s.closeOnce.Do(func() { s.closed = errors.Join(s.remove(), s.UnixListener.Close()) })
	return s.closed
}

func (s *socket) remove() error {
	unlock, err := lockDirectory(s.path)
	if err != nil {
		return fmt.Errorf("leaving socket %s: %w", s.path, err)
	}
	defer unlock()
	there, err := inodeOf(s.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && there != s.inode {
		return nil
	}
	if err == nil {
		err = os.Remove(s.path)
	}
	if err != nil {
		return fmt.Errorf("leaving socket %s: %w", s.path, err)
	}
	return nil
}

func inodeOf(path string) (inode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return inode{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}, fmt.Errorf("%s has no inode", path)
	}
	return inode{uint64(stat.Dev), stat.Ino}, nil //nolint:unconvert // an int32 on macOS
}

// lockDirectory takes the lock on the directory of path. It is held for moments.
func lockDirectory(path string) (unlock func(), err error) {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, directory.Close())
	}
	return func() { _ = directory.Close() }, nil // which lets the lock go
}
