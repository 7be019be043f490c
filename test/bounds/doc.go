// Package bounds tests the bounds that must fit together: each is declared in one place, and another part relies on it.
package bounds
