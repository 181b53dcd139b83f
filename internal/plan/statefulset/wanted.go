package statefulset

// Wants reports whether the ordinal is one that the set wants a pod for.
func (s State) Wants(ordinal int) bool { return s.inRange(ordinal) }
