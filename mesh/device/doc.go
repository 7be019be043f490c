// Package device is the small process on a tenant's laptop that holds the
// device's one mesh address for every command that wants to use it.
//
// One certificate used by two processes at once freezes the sessions of the
// first, and two terminals are the normal case. So the first command starts
// this process, under a file lock of which there can be only one holder; every
// command then asks it over a unix socket for a connection into the mesh, and
// it ends by itself when nobody has asked for a while.
//
// # Protocol
//
// A client connects and sends one line of JSON, at most 1 KiB:
//
//	{"v":1,"target":"100.64.0.2:22","timeout_ms":30000}
//
// It is answered by one line of at most 4 KiB, {"ok":true} or
// {"error":"…","kind":"…"}. After an ok the connection is the stream, byte for
// byte, and each side may close its half. A request without a target asks only
// whether somebody is there. Only processes of the same user are answered.
package device
