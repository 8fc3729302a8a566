// Package runbook runs the command blocks of RUNBOOK.md.
//
// The problem is that an untested procedure fails when it is needed, so each block is run
// by a test and its output compared with the page.
//
// A block is a fence of sh; a fence of text after it is its expected output. There, …
// stands for anything on its line, a line of only … for any number of lines, and runs of
// white space are equal.
//
//   - "sh" blocks run in internal/e2e, in the situation of their section.
//   - "sh compose" blocks need the containers of docker-compose.yml; internal/runbook/run
//     runs them.
//   - "sh everywhere" blocks run in both.
//
// The text around the blocks is not checked.
package runbook
