package testdb

var CheckPooler = checkPooler
