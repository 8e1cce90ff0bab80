/** @file The address after `#`: which view is open, and what it shows. */

import { useEffect, useState } from 'preact/hooks'

/** Parts of the address: `#/memory/abc` has `['memory', 'abc']`. */
export type Route = readonly string[]

const read = (): Route =>
  location.hash
    .split('/')
    .slice(1)
    .map((part) => {
      try {
        return decodeURIComponent(part)
      } catch {
        return part
      }
    })

/** Returns the link to a view. */
export const linkTo = (...route: Route): string => `#/${route.map(encodeURIComponent).join('/')}`

/** Returns the parts of the address, and renders again when they change. */
export function useRoute(): Route {
  const [route, setRoute] = useState(read)
  useEffect(() => {
    const update = () => setRoute(read())
    addEventListener('hashchange', update)
    return () => removeEventListener('hashchange', update)
  }, [])
  return route
}
