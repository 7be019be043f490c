// Package computetest holds the tests of x/compute, x/registry and x/mesh,
// which work together: they run in the whole application, block by block, and
// every module's invariants are checked after each block. One package, so that one
// test binary links the SDK for all three.
package computetest
