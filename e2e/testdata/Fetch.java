import java.io.IOException;
import java.io.InputStream;
import java.net.URI;

/**
 * Fetches each URL as any Java program does, with the roots of the machine,
 * and prints a line for it: "ok", or what is wrong.
 *
 * "java Fetch.java URL..." needs the compiler's module, which is in the runtime
 * that Debian's default-jre-headless installs, too.
 */
class Fetch {
    public static void main(String[] urls) {
        for (String url : urls) {
            try (InputStream body = URI.create(url).toURL().openStream()) {
                body.readAllBytes();
                System.out.println("ok");
            } catch (IOException e) {
                System.out.println(e.toString().replace('\n', ' '));
            }
        }
    }
}
