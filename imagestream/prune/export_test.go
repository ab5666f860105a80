package prune

// SetMaxPending makes the annotation of a stream hold so many images.
func (p *Plan) SetMaxPending(n int) *Plan {
	p.cluster.maxPending = n
	again := &Plan{opts: p.opts, cluster: p.cluster}
	again.decide()
	return again
}
