package main

import "maps"

// runners has every op that the library answers. An op that is not here is not done.
var runners = merge(
	nameOps,
	streamOps,
	tagOps,
	describeOps,
	imageOps,
	viewOps,
	writeOps,
	ocOps,
	lookupOps,
	importOps,
	scheduleOps,
	triggerOps,
	pruneOps,
)

func merge(areas ...map[string]runner) map[string]runner {
	all := map[string]runner{}
	for _, area := range areas {
		maps.Copy(all, area)
	}
	return all
}
