//go:build unix && !linux

package embedded

import "syscall"

// Only Linux has user namespaces, and a signal for the death of a parent.
func namespaced(string, int, int) []identity { return nil }

func tied(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }
