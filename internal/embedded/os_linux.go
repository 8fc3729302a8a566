package embedded

import (
	"os"
	"syscall"
)

// namespaced maps uid to this user: files see this user, the programs see uid, which must
// have a name because Postgres looks it up.
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

// entitled is another user with root's right to bypass file permissions. It works in
// containers, which have no user namespaces, with folders or programs below /root.
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

// tied ends the process when the guard is killed.
func tied(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	attr.Pdeathsig = immediate
	return attr
}
