// Package policy decides: pure functions of agreements, objects and time.
package policy
