// Package runbook runs the command blocks of RUNBOOK.md. A runbook that nobody has run is
// wrong on the night it is needed: so each of its blocks is run, and what it prints is
// compared with what the page says that it prints.
//
// A block is a fence of sh, and the fence of text after it, if there is one, is what it
// prints. In that, … stands for anything on its line, a line with nothing but … for any
// number of lines, and blanks count once. Blocks of "sh compose" are about the containers
// of docker-compose.yml and are run there, by internal/runbook/run; blocks of "sh" by the
// test in internal/e2e, in the situation that their section is about; blocks of "sh
// everywhere" by both.
package runbook
