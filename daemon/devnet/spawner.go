package devnet

import "runtime"

// serve runs calls on a thread of its own until close.
func (s *spawner) serve() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for call := range s.calls {
		call()
	}
}

// close ends the thread; no process may be left that was started by it.
func (s *spawner) close() {
	s.once.Do(func() { s.calls = make(chan func()) })
	close(s.calls)
}
