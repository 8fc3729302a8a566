package embedded

import (
	"os"
	"syscall"
)

// namespaced runs the programs in a user namespace where this user has that number: to
// the files they are this user's processes, to themselves they are not. The number has to
// exist, because Postgres asks for its name.
func namespaced(uid, gid int) []identity {
	host, group := os.Geteuid(), os.Getegid()
	owner, ownerGroup := -1, -1
	if host == 0 {
		owner, ownerGroup = 0, 0
	}
	return []identity{{
		name: "a user namespace", uid: owner, gid: ownerGroup,
		attributes: func() *syscall.SysProcAttr {
			return tied(&syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: host, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: group, Size: 1}},
			})
		},
	}}
}

// entitled runs them as another user who keeps one of root's rights, to pass by the
// permissions of files. That is what is left in a container, which has no user
// namespaces, when the folder or the programs are below /root.
func entitled(name string, uid, gid uint32) []identity {
	const passPermissions = 1 // CAP_DAC_OVERRIDE
	return []identity{{
		name: name, uid: int(uid), gid: int(gid), late: true,
		attributes: func() *syscall.SysProcAttr {
			return tied(&syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: uid, Gid: gid},
				AmbientCaps: []uintptr{passPermissions},
			})
		},
	}}
}

// tied ends the process when the guard is killed. The guard itself needs no such thing:
// it has the pipe.
func tied(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	attr.Pdeathsig = immediate
	return attr
}
