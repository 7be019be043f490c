package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// secluded marks the process that runs the tests in namespaces of its own.
const secluded = "HIPPIUS_TEST_SECLUDED"

// Seclude is for TestMain of tests that set up a host as root: it runs the test program again with mounts and a network
// of its own, in which /run is an empty tmpfs with the mount options given, and the shell commands of prepare have run.
// It returns in that process, and at once without root; it does not return if that fails.
func Seclude(options, prepare string) {
	if os.Geteuid() != 0 || os.Getenv(secluded) != "" {
		return
	}
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		script := "mount -t tmpfs -o " + options + " tmpfs /run && "
		if prepare != "" {
			script += prepare + " && "
		}
		argv := append([]string{"unshare", "--mount", "--net", "bash", "-c", script + `exec "$@"`, "bash"}, os.Args...)
		err = syscall.Exec(unshare, argv, append(os.Environ(), secluded+"=1"))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
