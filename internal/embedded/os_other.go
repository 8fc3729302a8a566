//go:build unix && !linux

package embedded

import (
	"syscall"
)

// Only Linux has user namespaces, single rights of root, and a signal for the death of a
// parent.
func namespaced(int, int) []identity { return nil }

func entitled(string, uint32, uint32) []identity { return nil }

func tied(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }
