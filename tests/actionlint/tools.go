//go:build tools

// Package tools keeps the command this module builds in go.mod.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
